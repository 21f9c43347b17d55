package bench

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"
)

//go:embed page.html
var pageText string

// Page writes a report as one HTML page with plots, which needs no other file and no network.
func (r *Report) Page(w io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{"micros": Micros, "count": Count, "ratio": Ratio}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("read template: %w", err)
	}
	var plots []plot
	low, high := r.span()
	for i := range r.Rows {
		plots = append(plots, histogramPlot(&r.Rows[i], low, high))
	}
	return page.Execute(w, struct {
		Report     *Report
		Curves     plot
		Histograms []plot
	}{r, percentilePlot(r.Rows, low, high), plots})
}

// Micros prints microseconds in the unit that fits.
func Micros(us float64) string {
	switch {
	case us >= 1e6:
		return strconv.FormatFloat(us/1e6, 'f', 2, 64) + " s"
	case us >= 1e4:
		return strconv.FormatFloat(us/1e3, 'f', 1, 64) + " ms"
	case us >= 1e3:
		return strconv.FormatFloat(us/1e3, 'f', 2, 64) + " ms"
	case us >= 100:
		return strconv.FormatFloat(us, 'f', 0, 64) + " µs"
	}
	return strconv.FormatFloat(us, 'f', 1, 64) + " µs"
}

// Ratio prints how many times something is.
func Ratio(x float64) string {
	if x >= 10 {
		return Count(x)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// Count prints a number with spaces between thousands.
func Count(n float64) string {
	digits := strconv.FormatFloat(n, 'f', 0, 64)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune(' ') // does not break
		}
		b.WriteRune(c)
	}
	return b.String()
}

// span is the decades that hold all latencies and floors.
func (r *Report) span() (low, high float64) {
	low, high = math.Inf(1), 0
	for i := range r.Rows {
		row := &r.Rows[i]
		low = min(low, max(row.Floor, 1))
		for _, b := range row.Histogram {
			low, high = min(low, max(b.UpToMicros/1.26, 1)), max(high, b.UpToMicros)
		}
	}
	if high == 0 {
		low, high = 10, 1e4
	}
	return math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
}

// plot is what the page draws; lengths are those of its SVG.
type plot struct {
	Name          string
	Width, Height float64
	Lines, Floor  []line
	Bars          []bar
	Texts         []label
	Curves        []curve
}

type line struct{ X1, Y1, X2, Y2 float64 }

type bar struct {
	X, Y, Width, Height float64
	Text                string
}

type label struct {
	X, Y         float64
	Anchor, Text string
}

type curve struct{ Name, Color, Dashes, Points string }

// The margins of a plot.
const (
	left, right, top, bottom = 46.0, 12.0, 10.0, 22.0
)

// scale gives a value between low and high its place between 0 and 1, by its logarithm.
func scale(v, low, high float64) float64 {
	return math.Log10(min(max(v, low), high)/low) / math.Log10(high/low)
}

func histogramPlot(r *Row, low, high float64) plot {
	p := plot{Name: r.Name(), Width: 330, Height: 150}
	x := func(us float64) float64 { return 8 + scale(us, low, high)*(p.Width-16) }
	base := p.Height - bottom
	most := uint64(1)
	for _, b := range r.Histogram {
		most = max(most, b.Count)
	}
	for _, b := range r.Histogram {
		from, to := x(b.UpToMicros/math.Pow(10, 0.1)), x(b.UpToMicros)
		height := float64(b.Count) / float64(most) * (base - top)
		p.Bars = append(p.Bars, bar{from + 0.5, base - height, max(to-from-1, 0.5), height, fmt.Sprintf("up to %s: %d", Micros(b.UpToMicros), b.Count)})
	}
	p.Lines = append(p.Lines, line{8, base, p.Width - 8, base})
	p.Floor = []line{{x(r.Floor), top, x(r.Floor), base}}
	for v := low; v <= high*1.01; v *= 10 {
		p.Lines = append(p.Lines, line{x(v), base, x(v), base + 4})
		anchor := "middle"
		switch {
		case v == low:
			anchor = "start"
		case v*10 > high*1.01:
			anchor = "end"
		}
		p.Texts = append(p.Texts, label{x(v), base + 15, anchor, decade(v)})
	}
	return p
}

// colors of curves. When they are used up, the same ones come again with dashes.
var colors = []string{"#3f7cc4", "#c4553f", "#3c9a5f", "#8a5cc2", "#c08a1e", "#2a9aa5", "#c2478f", "#6d7a2f", "#8b5a3c", "#7a8494"}

func percentilePlot(rows []Row, low, high float64) plot {
	p := plot{Width: 1000, Height: 320}
	// A step to the right is ten times fewer operations above: 0, 90, 99, 99.9 %.
	x := func(q float64) float64 { return left + -math.Log10(1-q)/3*(p.Width-left-right) }
	y := func(us float64) float64 { return p.Height - bottom - scale(us, low, high)*(p.Height-bottom-top) }
	for v := low; v <= high*1.01; v *= 10 {
		p.Lines = append(p.Lines, line{left, y(v), p.Width - right, y(v)})
		p.Texts = append(p.Texts, label{left - 6, y(v) + 3, "end", decade(v)})
	}
	for _, at := range []struct {
		q    float64
		name string
	}{{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99.9"}} {
		p.Lines = append(p.Lines, line{x(at.q), top, x(at.q), p.Height - bottom})
		anchor := "middle"
		if at.q == 0.999 {
			anchor = "end"
		}
		p.Texts = append(p.Texts, label{x(at.q), p.Height - 6, anchor, at.name})
	}
	for i := range rows {
		r := &rows[i]
		var points []string
		for _, at := range [][2]float64{{0.5, r.P50}, {0.9, r.P90}, {0.99, r.P99}, {0.999, r.P999}} {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(at[0]), y(at[1])))
		}
		dashes := ""
		if n := i / len(colors); n > 0 {
			dashes = fmt.Sprint(8/n, " 4")
		}
		p.Curves = append(p.Curves, curve{r.Name(), colors[i%len(colors)], dashes, strings.Join(points, " ")})
	}
	return p
}

// decade prints a power of ten of microseconds.
func decade(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.0f s", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.0f ms", us/1e3)
	}
	return fmt.Sprintf("%.0f µs", us)
}
