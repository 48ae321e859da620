check 7 max 3 7 5
check 9 max 9 2
check 3 min 5 3 7
check 2 min 2 9
check 15 sum 3 7 5
check 0 sum
check 1 index b a b c
check -1 index z a b
check "a b" unique a b a
check "c" unique c c
