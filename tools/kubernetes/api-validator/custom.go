package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuraldefaulting "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	schemaobjectmeta "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	structuralpruning "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// custom is a kind of a CustomResourceDefinition in a folder; nil if none there defines it. It is
// made as k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go does.
func custom(folder string, gvk schema.GroupVersionKind) *kind {
	crd := definition(folder, gvk)
	if crd == nil {
		return nil
	}
	versioned, err := apihelpers.GetSchemaForVersion(crd, gvk.Version)
	if err != nil || versioned == nil {
		return nil
	}
	internal := &apiextensions.CustomResourceValidation{}
	if err := v1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(versioned, internal, nil); err != nil {
		return nil
	}
	structural, err := structuralschema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil || structuraldefaulting.PruneDefaults(structural) != nil {
		return nil
	}
	validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil
	}
	strategy := customresource.NewStrategy(
		crdserverscheme.NewUnstructuredObjectTyper(), crd.Spec.Scope == v1.NamespaceScoped, gvk,
		validator, nil, structural, &apiextensions.CustomResourceSubresourceStatus{}, nil, nil,
	)
	return &kind{strategy, func(value object) (runtime.Object, error) {
		stored := (&unstructured.Unstructured{Object: value}).DeepCopy()
		structuralpruning.Prune(stored.Object, structural, true)
		structuraldefaulting.PruneNonNullableNullsWithoutDefaults(stored.Object, structural)
		if err := schemaobjectmeta.Coerce(nil, stored.Object, structural, false, false); err != nil {
			return nil, err
		}
		structuraldefaulting.Default(stored.Object, structural)
		return stored, nil
	}}
}

// definition finds the CustomResourceDefinition of a kind below a folder.
func definition(folder string, gvk schema.GroupVersionKind) *v1.CustomResourceDefinition {
	var found *v1.CustomResourceDefinition
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(content, []byte("kind: "+gvk.Kind+"\n")) {
			return nil
		}
		for _, document := range bytes.Split(content, []byte("\n---")) {
			crd := &v1.CustomResourceDefinition{}
			if !bytes.Contains(document, []byte("kind: "+gvk.Kind+"\n")) || yaml.Unmarshal(document, crd) != nil {
				continue
			}
			if crd.Spec.Group == gvk.Group && crd.Spec.Names.Kind == gvk.Kind && apihelpers.HasServedCRDVersion(crd, gvk.Version) {
				v1.SetDefaults_CustomResourceDefinition(crd)
				found = crd
				return fs.SkipAll
			}
		}
		return nil
	})
	return found
}
