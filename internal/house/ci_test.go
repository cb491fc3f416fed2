package house_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestWhoFailed: of a log of tests, what .ci/failures leaves ends with who failed and what he said, whatever others have said since.
func TestWhoFailed(t *testing.T) {
	awk, err := exec.LookPath("awk")
	if err != nil {
		t.Skip("there is no awk here")
	}
	var noise strings.Builder
	for i := range 500 {
		fmt.Fprintf(&noise, "    loud_test.go:1: line %d\n", i)
	}
	verbose := "=== RUN   TestBad\n=== PAUSE TestBad\n=== RUN   TestLoud\n" + noise.String() + "--- PASS: TestLoud (0.00s)\n=== CONT  TestBad\n    bad_test.go:2: it is wrong\n=== NAME  TestLoud\n" +
		noise.String() + "--- FAIL: TestBad (0.00s)\nFAIL\nFAIL\texample.test/a\t1.0s\n=== RUN   TestLoud\n" + noise.String() + "--- PASS: TestLoud (0.00s)\nPASS\nok  \texample.test/b\t1.0s\nFAIL\n"
	plain := "--- FAIL: TestBad (0.00s)\n    bad_test.go:2: it is wrong\nlevel=INFO msg=noise\nFAIL\nFAIL\texample.test/a\t1.0s\nok  \texample.test/b\t1.0s\nFAIL\n"
	const end = "\n--- FAIL: TestBad of example.test/a\n    bad_test.go:2: it is wrong\nFAIL\texample.test/a\t1.0s\n"
	for name, log := range map[string]string{"-v": verbose, "": plain} {
		cmd := exec.CommandContext(t.Context(), awk, "-f", "../../.ci/failures")
		cmd.Stdin = strings.NewReader(log)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.HasSuffix(string(out), end) || strings.Contains(string(out), "loud") || strings.Contains(string(out), "noise") {
			t.Errorf("go test %s: %v\n%s", name, err, out)
		}
	}
	// A program that ends before its tests do names itself.
	cmd := exec.CommandContext(t.Context(), awk, "-f", "../../.ci/failures")
	cmd.Stdin = strings.NewReader("=== RUN   TestHangs\npanic: test timed out after 1s\n\trunning tests:\n\t\tTestHangs (1s)\nFAIL\texample.test/a\t1.0s\nFAIL\n")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "timed out") || !strings.Contains(string(out), "TestHangs (1s)") {
		t.Errorf("%v\n%s", err, out)
	}
}
