check 90 minutes 1:30
check 125 minutes 2:5
check 1:30 clock 90
check 0:59 clock 59
check yes overlap 1 4 3 6
check no overlap 1 3 3 6
check no overlap 3 6 1 3
check 2 gap 3 5
check 0 gap 5 3
check 3 slots 0 6 2
check 1 slots 1 4 2
