package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	genericrequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/batch"
	core "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/coordination/lease"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/endpoint"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/podtemplate"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/flowschema"
	"k8s.io/kubernetes/pkg/registry/flowcontrol/prioritylevelconfiguration"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/csidriver"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
	"k8s.io/kubernetes/pkg/registry/storage/volumeattributesclass"

	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/coordination/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/flowcontrol/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
)

// strategy is what the server does with a kind before it stores an object.
type strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

var builtin = map[schema.GroupKind]strategy{
	{Kind: "ConfigMap"}:             configmap.Strategy,
	{Kind: "Endpoints"}:             endpoint.Strategy,
	{Kind: "LimitRange"}:            limitrange.Strategy,
	{Kind: "Namespace"}:             namespace.Strategy,
	{Kind: "PersistentVolume"}:      persistentvolume.Strategy,
	{Kind: "PersistentVolumeClaim"}: persistentvolumeclaim.Strategy,
	{Kind: "Pod"}:                   pod.Strategy,
	{Kind: "PodTemplate"}:           podtemplate.Strategy,
	{Kind: "ReplicationController"}: replicationcontroller.Strategy,
	{Kind: "ResourceQuota"}:         resourcequota.Strategy,
	{Kind: "Secret"}:                secret.Strategy,
	{Kind: "Service"}:               service.Strategy,
	{Kind: "ServiceAccount"}:        serviceaccount.Strategy,

	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:     mutatingwebhookconfiguration.Strategy,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}:        validatingadmissionpolicy.NewStrategy(nil, nil),
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"}: validatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}:   validatingwebhookconfiguration.Strategy,
	{Group: "apps", Kind: "DaemonSet"}:                                                daemonset.Strategy,
	{Group: "apps", Kind: "Deployment"}:                                               deployment.Strategy,
	{Group: "apps", Kind: "ReplicaSet"}:                                               replicaset.Strategy,
	{Group: "apps", Kind: "StatefulSet"}:                                              statefulset.Strategy,
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}:                           horizontalpodautoscaler.Strategy,
	{Group: "batch", Kind: "CronJob"}:                                                 cronjob.Strategy,
	{Group: "batch", Kind: "Job"}:                                                     job.Strategy,
	{Group: "coordination.k8s.io", Kind: "Lease"}:                                     lease.Strategy,
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}:                                endpointslice.Strategy,
	{Group: "flowcontrol.apiserver.k8s.io", Kind: "FlowSchema"}:                       flowschema.Strategy,
	{Group: "flowcontrol.apiserver.k8s.io", Kind: "PriorityLevelConfiguration"}:       prioritylevelconfiguration.Strategy,
	{Group: "networking.k8s.io", Kind: "Ingress"}:                                     ingress.Strategy,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:                                ingressclass.Strategy,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:                               networkpolicy.Strategy,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:                                      runtimeclass.Strategy,
	{Group: "policy", Kind: "PodDisruptionBudget"}:                                    poddisruptionbudget.Strategy,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:                         clusterrole.Strategy,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}:                  clusterrolebinding.Strategy,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:                                role.Strategy,
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:                         rolebinding.Strategy,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:                               priorityclass.Strategy,
	{Group: "storage.k8s.io", Kind: "CSIDriver"}:                                      csidriver.Strategy,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:                                   storageclass.Strategy,
	{Group: "storage.k8s.io", Kind: "VolumeAttributesClass"}:                          volumeattributesclass.Strategy,
}

// kind is how objects of one kind and version are read and stored.
type kind struct {
	strategy strategy
	// decode gives the object with the server's defaults.
	decode func(object) (runtime.Object, error)
}

// registry knows the kinds of Kubernetes, and those of a folder of CRDs once they are asked for.
type registry struct {
	crds  string
	kinds map[schema.GroupVersionKind]*kind
}

func newRegistry(crds string) *registry {
	return &registry{crds, map[schema.GroupVersionKind]*kind{}}
}

func (r *registry) find(gvk schema.GroupVersionKind) *kind {
	if known, ok := r.kinds[gvk]; ok {
		return known
	}
	var found *kind
	if strategy, ok := builtin[gvk.GroupKind()]; ok && legacyscheme.Scheme.Recognizes(gvk) {
		found = &kind{strategy, decode}
	} else if !ok {
		found = custom(r.crds, gvk)
	}
	r.kinds[gvk] = found
	return found
}

func decode(value object) (runtime.Object, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	decoded, _, err := legacyscheme.Codecs.UniversalDecoder().Decode(data, nil, nil)
	return decoded, err
}

// validate says what stands against storing an object, in place of the old one if there is one.
func (r *registry) validate(value, old object) []refusal {
	gvk := schema.FromAPIVersionAndKind(text(value, "apiVersion"), text(value, "kind"))
	kind := r.find(gvk)
	if kind == nil {
		return nil
	}
	refused := kind.create(value)
	if len(refused) > 0 || old == nil {
		return locate(refused, value, nil, kind.create)
	}
	update := func(value object) []refusal { return kind.update(value, old) }
	return locate(update(value), value, old, update)
}

func (k *kind) create(value object) []refusal {
	ctx := k.context(value)
	decoded, err := k.decode(value)
	if err != nil {
		return []refusal{unreadable(err)}
	}
	return refusals(rest.BeforeCreate(k.strategy, ctx, k.stamp(ctx, decoded)), "invalid")
}

func (k *kind) update(value, old object) []refusal {
	ctx := k.context(value)
	before, err := k.decode(old)
	if err != nil {
		return nil // no server has stored it
	}
	if rest.BeforeCreate(k.strategy, ctx, k.stamp(ctx, before)) != nil {
		return nil
	}
	decoded, err := k.decode(value)
	if err != nil {
		return []refusal{unreadable(err)}
	}
	live(before, decoded)
	return refusals(rest.BeforeUpdate(k.strategy, ctx, k.stamp(ctx, decoded), before), "immutable")
}

// live gives two objects what a cluster has added to them since the old one was stored.
func live(old, changed runtime.Object) {
	switch old := old.(type) {
	case *core.PersistentVolumeClaim:
		old.Status.Phase = core.ClaimBound
		old.Status.Capacity = old.Spec.Resources.Requests.DeepCopy()
	case *batch.Job:
		changed, ok := changed.(*batch.Job)
		if !ok || changed.Spec.Selector != nil {
			return
		}
		// An apply leaves what the server made: the selector, and the labels that it selects.
		changed.Spec.Selector = old.Spec.Selector.DeepCopy()
		if changed.Spec.Template.Labels == nil {
			changed.Spec.Template.Labels = map[string]string{}
		}
		for _, label := range []string{
			batch.ControllerUidLabel, batch.LegacyControllerUidLabel, batch.JobNameLabel, batch.LegacyJobNameLabel,
		} {
			if value, ok := old.Spec.Template.Labels[label]; ok {
				changed.Spec.Template.Labels[label] = value
			}
		}
	}
}

// context is what the server knows of a request.
func (k *kind) context(value object) context.Context {
	gvk := schema.FromAPIVersionAndKind(text(value, "apiVersion"), text(value, "kind"))
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	ctx := genericrequest.WithNamespace(context.Background(), k.namespace(value))
	return genericrequest.WithRequestInfo(ctx, &genericrequest.RequestInfo{
		IsResourceRequest: true, Verb: "create", APIGroup: gvk.Group, APIVersion: gvk.Version,
		Resource: resource.Resource, Namespace: k.namespace(value), Name: text(value, "metadata", "name"),
	})
}

func (k *kind) namespace(value object) string {
	if !k.strategy.NamespaceScoped() {
		return metav1.NamespaceNone
	}
	if named := text(value, "metadata", "namespace"); named != "" {
		return named
	}
	return metav1.NamespaceDefault
}

// stamp adds what the server itself writes into every object.
func (k *kind) stamp(ctx context.Context, stored runtime.Object) runtime.Object {
	accessor, err := meta.Accessor(stored)
	if err != nil {
		return stored
	}
	rest.FillObjectMetaSystemFields(accessor)
	accessor.SetUID(types.UID("00000000-0000-0000-0000-000000000000"))
	accessor.SetCreationTimestamp(metav1.Unix(0, 0))
	accessor.SetResourceVersion("1")
	accessor.SetNamespace(genericrequest.NamespaceValue(ctx))
	return stored
}

func unreadable(err error) refusal {
	_, message, found := strings.Cut(err.Error(), ": ")
	if !found {
		message = err.Error()
	}
	return refusal{Message: message, Reason: "invalid"}
}

// refusals are the causes of an error of the server's.
func refusals(err error, reason string) []refusal {
	if err == nil {
		return nil
	}
	var status *apierrors.StatusError
	if !errors.As(err, &status) || status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		return []refusal{{Message: err.Error(), Reason: reason}}
	}
	found := []refusal{}
	for _, cause := range status.ErrStatus.Details.Causes {
		next := refusal{Field: cause.Field, Message: firstLine(cause.Message), Reason: reason}
		if !slices.ContainsFunc(found, func(each refusal) bool {
			return each.Field == next.Field && each.Message == next.Message
		}) {
			found = append(found, next)
		}
	}
	return found
}

var quoted = regexp.MustCompile(`^(Invalid value|Unsupported value): (".{80,}?"|\{.*?\}|\[.*?\]): `)

// firstLine leaves out the objects that some messages print, below it or within.
func firstLine(message string) string {
	line, _, _ := strings.Cut(message, "\n")
	return strings.TrimSpace(quoted.ReplaceAllString(line, ""))
}

// text is the string at a path, or none.
func text(value any, path ...string) string {
	for _, key := range path {
		fields, _ := value.(object)
		value = fields[key]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
