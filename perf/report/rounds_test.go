package report

import "testing"

func TestValuesOfTheSamePointAreItsRounds(t *testing.T) {
	var r Rounds
	if points := r.Points(); len(points) != 0 {
		t.Errorf("nothing is %+v", points)
	}
	p := Point{Sweep: "delay", X: 1, Series: "login", Metric: "p50", At: map[string]float64{"size": 4, "users": 80}}
	same, later, other := p, p, p
	same.At = map[string]float64{"users": 80, "size": 4}
	later.X = 10
	other.At = map[string]float64{"size": 64}
	r.Add(p, 3)
	r.Add(later, 7)
	r.Add(same, 1)
	r.Add(other, 9)
	points := r.Points()
	if len(points) != 3 || points[0].Rounds != 2 || points[0].Min != 1 || points[0].Max != 3 || points[0].X != 1 {
		t.Fatalf("%+v", points)
	}
	if points[1].X != 10 || points[1].Value != 7 || points[2].At["size"] != 64 || points[2].Value != 9 {
		t.Errorf("%+v", points)
	}
}
