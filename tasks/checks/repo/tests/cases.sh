check yes digits_only 042
check no digits_only 4a
check yes pin 1234
check no pin 123
check no pin 1234567
check A grade 90
check B grade 70
check C grade 69
check yes hour 23
check no hour 24
check no hour -1
check yes same a a a
check no same a b a
