check 12 area 3 4
check 14 border 3 4
check 7 walk 1 1 4 5
check 7 walk 4 5 1 1
check yes square 3 3
check no square 3 4
check yes inside 0 5
check no inside 5 5
check no inside -1 5
