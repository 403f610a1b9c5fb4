cornu train fsrcnn --input 4x4x1 --data shapes:2 -o f.keras --progress none >made
ln -s f.keras g.keras
cornu convert f.keras ./f.keras
cornu convert f.keras g.keras
