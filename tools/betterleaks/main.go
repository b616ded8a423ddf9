// find-credentials looks for credentials in files: Betterleaks' own detector and rules, and those
// of rules.go. It asks no network whether what it finds still works, and never prints it.
//
//	find-credentials ROOT < PATHS > findings.json
//
// PATHS are relative to ROOT, with a NUL after each. What is printed is a list of path, line and
// rule. The whole of Betterleaks also reads Git, GitHub and archives; this is its detector.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/betterleaks/betterleaks/config"
	"github.com/betterleaks/betterleaks/detect"
	"github.com/betterleaks/betterleaks/sources"
	"github.com/rs/zerolog"
)

type finding struct {
	Path string `json:"path"`
	Line int    `json:"line"`
	Rule string `json:"rule"`
}

// An id that AWS gives, such as that of an access point (fsap-…): a name, and no secret.
var resource = regexp.MustCompile(`^[a-z]+-[0-9a-f]{8,17}$`)

func main() {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: find-credentials ROOT < PATHS")
	}
	listed, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	settings, err := config.ParseTOMLString(rules, "")
	if err != nil {
		return err
	}
	detector := detect.NewDetector(settings)
	detector.MaxDecodeDepth = 1         // base64 once: the key in a kubeconfig
	detector.IgnoreGitleaksAllow = true // exceptions.yaml asks for a reason, and for a date
	skip := detector.SkipFunc()
	found := []finding{}
	for _, name := range bytes.Split(bytes.TrimSuffix(listed, []byte{0}), []byte{0}) {
		path := string(name)
		fragment := sources.Fragment{StartLine: 1}
		fragment.SetAttr(sources.AttrPath, path)
		if skip != nil && skip(fragment.Attributes) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(os.Args[1], path))
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since it was listed
		}
		if err != nil {
			return err
		}
		if bytes.IndexByte(content, 0) >= 0 {
			continue // not text
		}
		fragment.Raw = string(content)
		for _, each := range detector.Detect(fragment) {
			if !resource.MatchString(each.Secret) {
				found = append(found, finding{path, each.StartLine, each.RuleID})
			}
		}
		for _, at := range providerToken.FindAllSubmatchIndex(content, -1) {
			if token := content[at[2]:at[3]]; !exampleToken.Match(token) {
				line := 1 + bytes.Count(content[:at[2]], []byte{'\n'})
				found = append(found, finding{path, line, "provider-token"})
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
