check 5 fib 5
check 0 fib 0
check yes prime 7
check no prime 9
check 4 collatz 8
check 10 collatz 3
check fizz fizz 6
check buzz fizz 10
check 7 fizz 7
check 1,3,5 steps 1 5 2
check 2 steps 2 3 2
