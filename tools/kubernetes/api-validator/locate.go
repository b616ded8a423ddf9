package main

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
)

// depth is how far below a field parts are tried whose whole is no cure.
const depth = 2

var step = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

// locate gives each refusal the paths of the parts that it may come from: below the field that the
// server names, or beside it (of a limit and a request, either may be wrong). A part is at fault if
// the server has nothing to say once it is away, or has its old value again.
func locate(refused []refusal, value, old object, ask func(object) []refusal) []refusal {
	for at, each := range refused {
		named := parsePath(each.Field, value)
		unreadable := each.Field == "" && each.Reason == "invalid" // and so nothing else was looked at
		cured := func(changed object) bool {
			for _, next := range ask(changed) {
				if next.is(each) || !unreadable && !slices.ContainsFunc(refused, next.is) {
					return false
				}
			}
			return true
		}
		paths := cures(value, old, named, depth, cured)
		if len(paths) == 0 {
			paths = [][]any{named}
		}
		if len(named) > 1 {
			parent := named[:len(named)-1]
			for _, key := range keys(dig(value, parent)) {
				if beside := below(parent, key); key != named[len(named)-1] {
					if isCure(value, old, beside, cured) {
						paths = append(paths, blame(value, old, beside, cured))
					} else {
						paths = append(paths, cures(value, old, beside, 1, cured)...)
					}
				}
			}
		}
		refused[at].Paths = paths
	}
	return refused
}

func (r refusal) is(other refusal) bool {
	return r.Field == other.Field && r.Message == other.Message && r.Reason == other.Reason
}

// parsePath reads a field as the server writes it: spec.containers[0].ports, data[a.key].
func parsePath(field string, value any) []any {
	path := []any{}
	for _, name := range step.FindAllString(field, -1) {
		var key any = name
		if name[0] == '[' {
			key = name[1 : len(name)-1]
		}
		if _, ok := value.([]any); ok {
			if index, err := strconv.Atoi(key.(string)); err == nil {
				key = index
			}
		}
		value = dig(value, []any{key})
		if value == nil && name[0] == '[' {
			return path // a value, where the server has no name for its place
		}
		path = append(path, key)
	}
	return path
}

// cures are the smallest parts below a path that are one, down to a depth.
func cures(value, old object, path []any, depth int, cured func(object) bool) [][]any {
	found := [][]any{}
	for _, key := range keys(dig(value, path)) {
		if next := below(path, key); isCure(value, old, next, cured) {
			found = append(found, blame(value, old, next, cured))
		} else if depth > 0 {
			found = append(found, cures(value, old, next, depth-1, cured)...)
		}
	}
	return found
}

// blame is the smallest part, at or below a path, that is a cure.
func blame(value, old object, path []any, cured func(object) bool) []any {
	for _, key := range keys(dig(value, path)) {
		if next := below(path, key); isCure(value, old, next, cured) {
			return blame(value, old, next, cured)
		}
	}
	return path
}

func isCure(value, old object, path []any, cured func(object) bool) bool {
	if len(path) == 1 && (path[0] == "apiVersion" || path[0] == "kind") {
		return false // nobody can be asked about an object of no kind
	}
	before := dig(old, path)
	if old != nil && reflect.DeepEqual(before, dig(value, path)) {
		return false
	}
	changed, ok := replace(value, path, before).(object)
	return ok && cured(changed)
}

func below(path []any, key any) []any {
	return append(slices.Clone(path), key)
}

// keys of an object, in order, or indexes of a list.
func keys(value any) []any {
	found := []any{}
	switch value := value.(type) {
	case object:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			found = append(found, key)
		}
	case []any:
		for index := range value {
			found = append(found, index)
		}
	}
	return found
}

func dig(value any, path []any) any {
	for _, key := range path {
		switch key := key.(type) {
		case string:
			fields, _ := value.(object)
			value = fields[key]
		case int:
			list, _ := value.([]any)
			if key >= len(list) {
				return nil
			}
			value = list[key]
		}
	}
	return value
}

// replace is a copy of a value with another part at a path; nil takes the part away.
func replace(value any, path []any, part any) any {
	if len(path) == 0 {
		return part
	}
	switch value := value.(type) {
	case object:
		changed := maps.Clone(value)
		key, _ := path[0].(string)
		if next := replace(value[key], path[1:], part); next != nil {
			changed[key] = next
		} else {
			delete(changed, key)
		}
		return changed
	case []any:
		index, _ := path[0].(int)
		changed := slices.Clone(value)
		if next := replace(value[index], path[1:], part); next != nil {
			changed[index] = next
			return changed
		}
		return append(changed[:index], changed[index+1:]...)
	}
	return part
}
