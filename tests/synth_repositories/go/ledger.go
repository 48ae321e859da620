// Package ledger adds up what accounts hold.
package ledger

import "errors"

// ErrPoor says that an account holds too little.
var ErrPoor = errors.New("too little")

// Book holds accounts by name, in cents.
type Book struct {
	accounts map[string]int
	busy     bool
	moves    int
}

// New makes an empty book.
func New() *Book {
	return &Book{accounts: map[string]int{}}
}

// Pay puts an amount into an account and says what it holds then.
func (b *Book) Pay(name string, amount int) int {
	b.accounts[name] += amount
	return b.accounts[name]
}

// Move takes an amount from one account to another.
func (b *Book) Move(from string, to string, amount int) error {
	b.busy = true
	defer b.rest()
	if amount <= 0 || b.accounts[from] < amount {
		return ErrPoor
	}
	b.accounts[from] -= amount
	b.accounts[to] += amount
	b.moves++
	return nil
}

func (b *Book) rest() {
	b.busy = false
}

// Busy says whether something is moved just now.
func (b *Book) Busy() bool {
	return b.busy
}

// Total is what all accounts hold together.
func (b *Book) Total() int {
	total := 0
	for _, amount := range b.accounts {
		total += amount
	}
	return total
}
