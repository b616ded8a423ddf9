package main

import (
	"context"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/cel/environment"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podsecurity "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// templates lead to the pod template of each kind that makes pods.
var templates = map[schema.GroupKind][]any{
	{Group: "apps", Kind: "DaemonSet"}:   {"spec", "template"},
	{Group: "apps", Kind: "Deployment"}:  {"spec", "template"},
	{Group: "apps", Kind: "ReplicaSet"}:  {"spec", "template"},
	{Group: "apps", Kind: "StatefulSet"}: {"spec", "template"},
	{Group: "batch", Kind: "CronJob"}:    {"spec", "jobTemplate", "spec", "template"},
	{Group: "batch", Kind: "Job"}:        {"spec", "template"},
	{Kind: "ReplicationController"}:      {"spec", "template"},
}

// gate is what stands before a cluster: its admission policies, and Pod Security.
type gate struct {
	hooks []validating.PolicyHook
}

// newGate compiles the policies that the server would take. Those with parameters are left out:
// nobody knows them here.
func (r *registry) newGate(policies, bindings []object) *gate {
	made := &gate{}
	for _, value := range policies {
		read := &admissionv1.ValidatingAdmissionPolicy{}
		if len(r.validate(value, nil)) > 0 || !into(value, read) || read.Spec.ParamKind != nil {
			continue
		}
		hook := validating.PolicyHook{Policy: read, Evaluator: compile(read)}
		for _, value := range bindings {
			binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
			if into(value, binding) && binding.Spec.PolicyName == read.Name {
				hook.Bindings = append(hook.Bindings, binding)
			}
		}
		made.hooks = append(made.hooks, hook)
	}
	return made
}

// into reads a versioned object with its defaults.
func into(value object, target runtime.Object) bool {
	if runtime.DefaultUnstructuredConverter.FromUnstructured(value, target) != nil {
		return false
	}
	legacyscheme.Scheme.Default(target)
	return true
}

// compile makes a policy ready to be asked, as compilePolicy of the admission plugin does.
func compile(policy *admissionv1.ValidatingAdmissionPolicy) validating.Validator {
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		return validating.NewValidator(nil, nil, nil, nil, policy.Spec.FailurePolicy, err)
	}
	with := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	without := cel.OptionalVariableDeclarations{}
	variables := []cel.NamedExpressionAccessor{}
	for _, each := range policy.Spec.Variables {
		variables = append(variables, &validating.Variable{Name: each.Name, Expression: each.Expression})
	}
	compiler.CompileAndStoreVariables(variables, with, environment.StoredExpressions)
	var matcher matchconditions.Matcher
	if len(policy.Spec.MatchConditions) > 0 {
		conditions := []cel.ExpressionAccessor{}
		for at := range policy.Spec.MatchConditions {
			conditions = append(conditions, (*matchconditions.MatchCondition)(&policy.Spec.MatchConditions[at]))
		}
		compiled := compiler.CompileCondition(conditions, with, environment.StoredExpressions)
		matcher = matchconditions.NewMatcher(compiled, policy.Spec.FailurePolicy, "policy", "validate", policy.Name)
	}
	validations := make([]cel.ExpressionAccessor, len(policy.Spec.Validations))
	messages := make([]cel.ExpressionAccessor, len(policy.Spec.Validations))
	for at, each := range policy.Spec.Validations {
		validations[at] = &validating.ValidationCondition{Expression: each.Expression, Message: each.Message, Reason: each.Reason}
		if each.MessageExpression != "" {
			messages[at] = &validating.MessageExpressionCondition{MessageExpression: each.MessageExpression}
		}
	}
	return validating.NewValidator(
		compiler.CompileCondition(validations, with, environment.StoredExpressions),
		matcher,
		compiler.CompileCondition(nil, with, environment.StoredExpressions),
		compiler.CompileCondition(messages, without, environment.StoredExpressions),
		policy.Spec.FailurePolicy,
		nil,
	)
}

// validate says what stands against letting an object, and a pod of its template, into a namespace.
func (g *gate) validate(value object, labels map[string]string) []refusal {
	ask := func(value object) []refusal { return g.policies(value, labels) }
	refused := locate(ask(value), value, nil, ask)
	gvk := schema.FromAPIVersionAndKind(text(value, "apiVersion"), text(value, "kind"))
	if gvk.GroupKind() == (schema.GroupKind{Kind: "Pod"}) {
		ask = func(value object) []refusal { return podSecurity(value, labels) }
		return append(refused, locate(ask(value), value, nil, ask)...)
	}
	path, ok := templates[gvk.GroupKind()]
	if !ok || len(refused) > 0 {
		return refused
	}
	template, _ := dig(value, path).(object)
	for _, each := range g.validate(podOf(value, template), labels) {
		for at := range each.Paths {
			each.Paths[at] = append(slices.Clone(path), each.Paths[at]...)
		}
		refused = append(refused, each)
	}
	return refused
}

// podOf is a pod as a controller makes it.
func podOf(owner, template object) object {
	metadata := object{}
	if given, ok := template["metadata"].(object); ok {
		for key, each := range given {
			metadata[key] = each
		}
	}
	metadata["name"] = text(owner, "metadata", "name") + "-0"
	metadata["namespace"] = text(owner, "metadata", "namespace")
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
}

func (g *gate) policies(value object, labels map[string]string) []refusal {
	if len(g.hooks) == 0 {
		return nil
	}
	gvk := schema.FromAPIVersionAndKind(text(value, "apiVersion"), text(value, "kind"))
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	namespace := text(value, "metadata", "namespace")
	var decoded runtime.Object = &unstructured.Unstructured{Object: value}
	if legacyscheme.Scheme.Recognizes(gvk) {
		typed, err := legacyscheme.Scheme.New(gvk)
		if err != nil || !into(value, typed) {
			return nil
		}
		decoded = typed
	}
	known := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	if namespace != "" {
		home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: withName(labels, namespace)}}
		if known.Add(home) != nil {
			return nil
		}
	}
	matcher := matching.NewMatcher(corelisters.NewNamespaceLister(known), nil)
	dispatcher := validating.NewDispatcher(authorizerfactory.NewAlwaysAllowAuthorizer(), generic.NewPolicyMatcher(matcher))
	attributes := admission.NewAttributesRecord(
		decoded, nil, gvk, namespace, text(value, "metadata", "name"), plural, "", admission.Create,
		&metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "system:admin", Groups: []string{user.SystemPrivilegedGroup}},
	)
	err := dispatcher.Dispatch(context.Background(), attributes, admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme), g.hooks)
	if err == nil {
		return nil
	}
	// The server's own words, without the object's name, which every finding has.
	_, message, found := strings.Cut(err.Error(), "is forbidden: ")
	if !found {
		message = err.Error()
	}
	return []refusal{{Message: firstLine(message), Reason: "admission"}}
}

// withName adds the label that the server gives to every namespace.
func withName(labels map[string]string, name string) map[string]string {
	all := map[string]string{corev1.LabelMetadataName: name}
	for key, each := range labels {
		all[key] = each
	}
	return all
}

var evaluator = func() policy.Evaluator {
	made, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		panic(err)
	}
	return made
}()

// podSecurity says what the standard that a namespace enforces has against a pod.
func podSecurity(value object, labels map[string]string) []refusal {
	privileged := podsecurity.LevelVersion{Level: podsecurity.LevelPrivileged, Version: podsecurity.LatestVersion()}
	standard, _ := podsecurity.PolicyToEvaluate(labels, podsecurity.Policy{Enforce: privileged, Audit: privileged, Warn: privileged})
	pod := &corev1.Pod{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(value, pod) != nil {
		return nil
	}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(standard.Enforce, &pod.ObjectMeta, &pod.Spec))
	if result.Allowed {
		return nil
	}
	message := "violates PodSecurity " + standard.Enforce.String() + ": " + result.ForbiddenDetail()
	return []refusal{{Message: message, Reason: "admission"}}
}
