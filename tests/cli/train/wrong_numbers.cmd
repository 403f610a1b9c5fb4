for option in --epochs=0 --epochs=-1 --batch-size=0 --learning-rate=0 --learning-rate=nan --learning-rate=inf \
    --learning-rate=-1 --seed=-1 --early-stopping=-1 --reduce-lr=0 --save-every=0 --loss-weights=1,2 \
    --loss-weights=nan --validation-split=1 --curve=a.gif --curve=nowhere/a.png; do
    cornu train autoencoder --data shapes:4 -o a.keras $option && echo taken
done
cornu train question --data shapes:4 -o a.keras --loss-weights 1
ls
