cornu train fsrcnn --input 4x4x1 --data shapes:4 --epochs 1000000 -o f.keras --csv log.csv \
    --progress none >made 2>err &
process=$!
tries=0
until grep -q '^0,' log.csv 2>/dev/null || [ $tries -gt 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
kill -TERM $process
wait $process
echo $?
cat err
cornu train -o f.keras --resume --epochs 1 --progress none >made && echo resumed
