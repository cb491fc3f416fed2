package web

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shown are the names of our metrics, without what histograms add.
func shown(t *testing.T) (names []string) {
	t.Helper()
	for line := range strings.Lines(text(NewMetrics(testMoment))) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "+namespace+"_"); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, namespace+"_"+name)
		}
	}
	return names
}

func document(t *testing.T, name string) string {
	t.Helper()
	all, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

var metricName = regexp.MustCompile(namespace + `_[a-z0-9_]+`)

// TestDocumented: each metric is explained, and none that there is not; the alerts ask for none either.
func TestDocumented(t *testing.T) {
	names := shown(t)
	manual := metricName.FindAllString(document(t, "metrics.md"), -1)
	for _, name := range names {
		if !slices.Contains(manual, name) {
			t.Errorf("docs/metrics.md says nothing about %s", name)
		}
	}
	for _, file := range []string{"metrics.md", "alerts.yml", "dashboard.json"} {
		for _, name := range metricName.FindAllString(document(t, file), -1) {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if base, ok := strings.CutSuffix(name, suffix); ok && slices.Contains(names, base) {
					name = base
				}
			}
			if !slices.Contains(names, name) {
				t.Errorf("docs/%s: there is no %s", file, name)
			}
		}
	}
}

// TestAlerts: Prometheus takes the rules, each fires where it is to, and none where all is well.
func TestAlerts(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "../../../docs/alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "testdata"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
	rules := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(document(t, "alerts.yml"), -1)
	cases, err := os.ReadFile("testdata/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if !strings.Contains(string(cases), "alertname: "+r[1]+"}") {
			t.Errorf("%s has no case", r[1])
		}
	}
}
