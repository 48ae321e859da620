check "aaa" repeat a 3
check "" repeat a 0
check "cba" reverse abc
check "a" reverse a
check 2 count a banal
check 0 count z abc
check "ab.." pad ab 4
check "abc" pad abc 3
check "abc" longer abc xy
check "ab" longer ab xy
