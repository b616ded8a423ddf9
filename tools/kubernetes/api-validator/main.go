// api-validator says what an API server would refuse, without one: it is the server's own code.
//
//	api-validator CRDS < requests > verdicts
//
// CRDS is a folder of CustomResourceDefinitions. A request is a line of JSON with one of these keys:
//
//	{"object": {…}, "old": {…}}           would the object be stored (in place of the old one)?
//	{"admit": {…}, "labels": {…}}         would the policies let it, and a pod of its template, into
//	                                      a namespace with these labels?
//	{"policies": […], "bindings": […]}    the policies of the requests that follow; has no verdict
//
// A verdict is a line of JSON: a list of refusals, which is empty for what is taken and for a kind
// that nobody knows.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/klog/v2"
)

// object is a Kubernetes object as JSON has it.
type object = map[string]any

type request struct {
	Object   object   `json:"object"`
	Old      object   `json:"old"`
	Admit    object   `json:"admit"`
	Labels   object   `json:"labels"`
	Policies []object `json:"policies"`
	Bindings []object `json:"bindings"`
}

// refusal is one reason why an object is refused.
type refusal struct {
	// Paths lead to the parts that it may come from, the likeliest first.
	Paths [][]any `json:"paths"`
	// Field is what the server names; empty if it names none.
	Field string `json:"field"`
	// Message is what the server says.
	Message string `json:"message"`
	// Reason is "invalid", "immutable" (the old object stands in the way) or "admission".
	Reason string `json:"reason"`
}

func main() {
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	if len(os.Args) != 2 {
		fail(errors.New("usage: api-validator CRDS < requests > verdicts"))
	}
	out := bufio.NewWriter(os.Stdout)
	if err := answer(os.Args[1], bufio.NewReader(os.Stdin), json.NewEncoder(out)); err != nil {
		fail(err)
	}
	if err := out.Flush(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func answer(crds string, in *bufio.Reader, out *json.Encoder) error {
	registry := newRegistry(crds)
	gate := &gate{}
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		refusals := []refusal{}
		ask, err := parse(line)
		switch {
		case err != nil:
			return err
		case ask.Object != nil:
			refusals = append(refusals, registry.validate(ask.Object, ask.Old)...)
		case ask.Admit != nil:
			labels := map[string]string{}
			for key, value := range ask.Labels {
				labels[key] = fmt.Sprint(value) // what is no text has been refused of the namespace
			}
			refusals = append(refusals, gate.validate(ask.Admit, labels)...)
		default:
			gate = registry.newGate(ask.Policies, ask.Bindings)
			continue
		}
		if err := out.Encode(refusals); err != nil {
			return err
		}
	}
}

// parse reads a request; whole numbers stay whole, as they do in the server.
func parse(line []byte) (request, error) {
	var ask request
	var fields object
	if err := utiljson.Unmarshal(line, &fields); err != nil {
		return ask, err
	}
	return ask, runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &ask)
}
