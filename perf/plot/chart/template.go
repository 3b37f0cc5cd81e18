package chart

import (
	_ "embed"
	"text/template"
)

//go:embed chart.svg.tmpl
var source string

// page is the chart as it is written. Text goes through html, which leaves nothing
// that XML reads as its own.
var page = template.Must(template.New("chart.svg").Funcs(template.FuncMap{
	"n":    coordinate,
	"step": func(at float64, i int) string { return coordinate(at + lineStep*float64(i)) },
	"add":  func(a, b float64) float64 { return a + b },
}).Parse(source))
