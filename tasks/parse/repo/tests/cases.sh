check a key a=1=2
check none key abc
check 1=2 value a=1=2
check none value abc
check x field 1 x,y,z
check y field 2 x,y,z
check 3 fields x,y,z
check 1 fields x
check long flag --all
check short flag -a
