check abc initials apple bird cat
check a initials apple
check a-b-c join - a b c
check a join - a
check "1 cat" plural 1 cat
check "2 cats" plural 2 cat
check bird longest cat bird ox
check cat longest cat dog
check 2 vowels apple
check 0 vowels xyz
