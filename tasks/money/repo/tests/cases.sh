check 12.34 price 1234
check 0.50 price 50
check 19 tax 100 19
check 2 tax 10 19
check 4 share 10 3
check 5 share 10 2
check 4 coins 17
check 2 coins 20
check 70 sale 100 30
check 0 sale 20 30
