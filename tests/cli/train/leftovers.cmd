# Of processes that are gone; a process has at most seven digits.
touch f.keras.99999999-0 f.keras.train.99999999 f.keras.$$-0 f.keras.99999999 f.keras.99999999-0.keras g.keras.99999999-0
mv f.keras.$$-0 f.keras.1-0
cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --progress none >made
ls
