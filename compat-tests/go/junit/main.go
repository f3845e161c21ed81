// Command junit turns the output of `go test -json` on its standard input into a JUnit XML file, and tells a
// person what goes on.
package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action  string
	Package string
	Test    string
	Elapsed float64
	Output  string
}

type message struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

type testCase struct {
	ClassName string   `xml:"classname,attr"`
	Name      string   `xml:"name,attr"`
	Time      string   `xml:"time,attr"`
	Failure   *message `xml:"failure,omitempty"`
	Skipped   *message `xml:"skipped,omitempty"`
}

type suite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Cases    []testCase `xml:"testcase"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go test -json | junit FILE")
		os.Exit(2)
	}
	result := suite{Name: "go-client"}
	output := map[string]*strings.Builder{}
	running := map[string]bool{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text())
			continue
		}
		if output[e.Test] == nil {
			output[e.Test] = &strings.Builder{}
		}
		switch e.Action {
		case "run":
			running[e.Test] = true
		case "output":
			output[e.Test].WriteString(e.Output)
			if e.Test == "" {
				fmt.Print(e.Output)
			}
		case "pass", "fail", "skip":
			if e.Test == "" {
				continue
			}
			delete(running, e.Test)
			fmt.Printf("%s %s (%.1fs)\n", e.Action, e.Test, e.Elapsed)
			result.add(e, output[e.Test].String())
		}
	}
	// What was running when the process died has failed.
	for test := range running {
		result.add(event{Action: "fail", Test: test}, output[test].String()+output[""].String())
	}
	file, err := os.Create(os.Args[1])
	if err == nil {
		_, err = file.WriteString(xml.Header)
	}
	if err == nil {
		encoder := xml.NewEncoder(file)
		encoder.Indent("", "  ")
		err = encoder.Encode(result)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if result.Failures > 0 {
		os.Exit(1)
	}
}

func (s *suite) add(e event, output string) {
	c := testCase{ClassName: "go-client", Name: e.Test, Time: fmt.Sprintf("%.3f", e.Elapsed)}
	s.Tests++
	switch e.Action {
	case "fail":
		s.Failures++
		c.Failure = &message{Message: reason(output), Text: output}
		fmt.Print(output)
	case "skip":
		s.Skipped++
		c.Skipped = &message{Message: reason(output)}
	}
	s.Cases = append(s.Cases, c)
}

// reason is the first line that the test itself wrote, such as `x_test.go:12: text`.
func reason(output string) string {
	for _, line := range strings.Split(output, "\n") {
		if i := strings.Index(line, "_test.go:"); i >= 0 {
			return strings.TrimSpace(line[i+len("_test.go:"):])
		}
	}
	return "see the output"
}
