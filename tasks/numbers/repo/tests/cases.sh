check 6 gcd 12 18
check 1 gcd 7 5
check 8 power 2 3
check 1 power 5 0
check 24 factorial 4
check 1 factorial 1
check 1 clamp 0 1 9
check 9 clamp 12 1 9
check 1 sign 1
check -1 sign -1
