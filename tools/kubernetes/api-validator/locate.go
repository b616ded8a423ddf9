package main

import (
	"reflect"
	"regexp"
	"strconv"
)

var step = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

// locate gives each refusal the path of its field. Where the server names none, or one with more
// below it, the path goes on to the smallest part without which (or with whose old value) the
// server has nothing to say.
func locate(refused []refusal, value, old object, ask func(object) []refusal) []refusal {
	for at, each := range refused {
		each.Path = parsePath(each.Field, value)
		if each.Field == "" || old != nil {
			still := func(changed object) bool {
				for _, next := range ask(changed) {
					if next.Field == each.Field && next.Reason == each.Reason {
						return true
					}
				}
				return false
			}
			each.Path = blame(value, old, each.Path, still)
		}
		refused[at] = each
	}
	return refused
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
			return path // a map's value, quoted in the place of its key
		}
		path = append(path, key)
	}
	return path
}

// blame is the smallest part of an object, at or below a path, that a refusal comes from.
func blame(value, old object, path []any, still func(object) bool) []any {
	for _, key := range keys(dig(value, path)) {
		below := append(append([]any{}, path...), key)
		before := dig(old, below)
		if old != nil && reflect.DeepEqual(before, dig(value, below)) {
			continue
		}
		if len(below) == 1 && (key == "apiVersion" || key == "kind") || len(below) == 2 && key == "name" && below[0] == "metadata" {
			continue
		}
		if changed, ok := replace(value, below, before).(object); ok && !still(changed) {
			return blame(value, old, below, still)
		}
	}
	return path
}

func keys(value any) []any {
	found := []any{}
	switch value := value.(type) {
	case object:
		for key := range value {
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
		changed := object{}
		for key, each := range value {
			changed[key] = each
		}
		key, _ := path[0].(string)
		if next := replace(value[key], path[1:], part); next != nil {
			changed[key] = next
		} else {
			delete(changed, key)
		}
		return changed
	case []any:
		index, _ := path[0].(int)
		changed := append([]any{}, value...)
		if next := replace(value[index], path[1:], part); next != nil {
			changed[index] = next
			return changed
		}
		return append(changed[:index], changed[index+1:]...)
	}
	return part
}
