package clustertest

import (
	"testing"

	"github.com/postrider-mail/postrider/internal/cluster"
)

// RunDocuments tests what tells of changes; open is as for Run.
func RunDocuments(t *testing.T, open func(t *testing.T) cluster.Documents) {
	t.Run("Changed", func(t *testing.T) { changed(t, open(t), open(t)) })
}

func changed(t *testing.T, a, b cluster.Documents) {
	put(t, a, cluster.Change{Name: "changed/1", Text: []byte("1")}, cluster.Change{Name: "changed/2%", Text: []byte("2")}, cluster.Change{Name: "unchanged", Text: []byte("3")})
	all, mark, err := b.Changed(t.Context(), "changed/", 0)
	if err != nil || len(all) != 2 || all["changed/1"] != is(t, b, "changed/1", "1") || all["changed/2%"] != is(t, b, "changed/2%", "2") {
		t.Fatalf("%v %v", all, err)
	}
	put(t, a, cluster.Change{Name: "changed/3", Text: []byte("3")}, cluster.Change{Name: "changed/1", Text: []byte("4"), Was: all["changed/1"]})
	put(t, a, cluster.Change{Name: "changed/2%", Anyway: true})
	all, _, err = b.Changed(t.Context(), "changed/", mark)
	if err != nil || all["changed/1"] != is(t, b, "changed/1", "4") || all["changed/3"] != is(t, b, "changed/3", "3") {
		t.Errorf("%v %v", all, err)
	}
	if _, there := all["changed/2%"]; there {
		t.Error("what was taken away is there")
	}
}
