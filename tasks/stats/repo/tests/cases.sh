check 4 mean 2 4 6
check 5 mean 5
check 6 spread 3 9 5
check 4 spread 6 2 5
check 2 above 3 4 3 5
check 0 above 9 1 2
check 2 evens 1 2 4 5
check 0 evens 3 5
check yes rising 1 2 2
check no rising 1 3 2
