package ledger

import "testing"

func filled() *Book {
	book := New()
	book.Pay("ann", 300)
	book.Pay("bob", 50)
	return book
}

func TestPayAdds(t *testing.T) {
	if got := filled().Pay("ann", 5); got != 305 {
		t.Errorf("Pay(ann, 5) = %d, want 305", got)
	}
}

func TestMoveTakesAndGives(t *testing.T) {
	book := filled()
	if err := book.Move("ann", "bob", 100); err != nil {
		t.Fatalf("Move(ann, bob, 100) = %v, want nil", err)
	}
	if ann, bob := book.Pay("ann", 0), book.Pay("bob", 0); ann != 200 || bob != 150 {
		t.Errorf("ann has %d and bob %d, want 200 and 150", ann, bob)
	}
	if book.moves != 1 {
		t.Errorf("moves = %d, want 1", book.moves)
	}
}

func TestMoveOfAll(t *testing.T) {
	if err := filled().Move("bob", "ann", 50); err != nil {
		t.Errorf("Move(bob, ann, 50) = %v, want nil", err)
	}
}

func TestMoveOfTooMuch(t *testing.T) {
	if err := filled().Move("bob", "ann", 51); err != ErrPoor {
		t.Errorf("Move(bob, ann, 51) = %v, want %v", err, ErrPoor)
	}
}

func TestMoveOfNothing(t *testing.T) {
	if err := filled().Move("bob", "ann", 0); err != ErrPoor {
		t.Errorf("Move(bob, ann, 0) = %v, want %v", err, ErrPoor)
	}
}

func TestMoveRestsAfterwards(t *testing.T) {
	book := filled()
	book.Move("ann", "bob", 1)
	if book.Busy() {
		t.Errorf("Busy() = true, want false")
	}
}

func TestTotal(t *testing.T) {
	if got := filled().Total(); got != 350 {
		t.Errorf("Total() = %d, want 350", got)
	}
}

func TestSplit(t *testing.T) {
	got := Split(11, 3)
	for i, want := range []int{4, 4, 3} {
		if got[i] != want {
			t.Errorf("Split(11, 3)[%d] = %d, want %d", i, got[i], want)
		}
	}
}

func TestInterest(t *testing.T) {
	if got := Interest(1000, 50, 2); got != 1102 {
		t.Errorf("Interest(1000, 50, 2) = %d, want 1102", got)
	}
}

func TestGrade(t *testing.T) {
	for amount, want := range map[int]string{-1: "debt", 0: "small", 99: "small", 100: "large"} {
		if got := Grade(amount); got != want {
			t.Errorf("Grade(%d) = %s, want %s", amount, got, want)
		}
	}
}
