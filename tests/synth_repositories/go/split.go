package ledger

// Split shares an amount among a number of people, as evenly as it goes; the first ones get the rest.
func Split(amount int, people int) []int {
	shares := make([]int, people)
	for i := 0; i < people; i++ {
		shares[i] = amount / people
		if i < amount%people {
			shares[i]++
		}
	}
	return shares
}

// Interest is what an amount becomes after some years, at a rate in thousandths, rounded down each year.
func Interest(amount int, rate int, years int) int {
	for year := 0; year < years; year++ {
		amount = amount + amount*rate/1000
	}
	return amount
}

// Grade names how much an amount is.
func Grade(amount int) string {
	if amount < 0 {
		return "debt"
	} else {
		if amount < 100 {
			return "small"
		}
	}
	return "large"
}
