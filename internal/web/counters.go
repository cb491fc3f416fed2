package web

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// other is what a label says where none of its values fits.
const other = "other"

// mostLabels is how many labels a table may have.
const mostLabels = 3

// table is a counter with all the series that it will ever have. They are there with zero from
// the start, so that a rate knows where the first event came from; nothing that others
// say can make one more; and to count costs no allocation.
type table struct {
	of    map[[mostLabels]string]prometheus.Counter
	known [mostLabels][]string // values, by label
}

// label is one label and its values.
type label struct {
	name   string
	values []string
}

// newTable makes a counter of every combination of its labels' values and other.
func newTable(reg prometheus.Registerer, name, help string, labels ...label) *table {
	var names []string
	t := &table{of: make(map[[mostLabels]string]prometheus.Counter)}
	for i, l := range labels {
		names = append(names, l.name)
		t.known[i] = append(slices.Clone(l.values), other)
	}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, names)
	reg.MustRegister(vec)
	t.fill(vec, nil, len(labels))
	return t
}

func (t *table) fill(vec *prometheus.CounterVec, values []string, labels int) {
	if len(values) == labels {
		var key [mostLabels]string
		copy(key[:], values)
		t.of[key] = vec.WithLabelValues(values...)
		return
	}
	for _, v := range t.known[len(values)] {
		t.fill(vec, append(slices.Clone(values), v), labels)
	}
}

// add counts n for these values of the labels.
func (t *table) add(n int, values ...string) {
	var key [mostLabels]string
	for i, v := range values {
		if !slices.Contains(t.known[i], v) {
			v = other
		}
		key[i] = v
	}
	t.of[key].Add(float64(n))
}
