cornu train quesiton --data shapes:4 -o a.keras
cornu train xyzzy --data shapes:4 -o a.keras
cornu train question --data shapes -o a.keras
cornu train question --data shaps:4 -o a.keras
cornu train question --data mnist -o a.keras
