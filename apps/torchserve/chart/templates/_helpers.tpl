{{/* Name of every object of the release. */}}
{{- define "torchserve.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels of the servers' selectors, which may never change, and of objects. Call with (list . "server"). */}}
{{- define "torchserve.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: torchserve
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* The label of a group's servers: on no other pod, and the same on whatever Deployments the group has
     one day, such as a canary's. Policies, budget and spread select by it. The Deployment and the Service
     do not: selectors of a Deployment are immutable, and pods of a release before December 2026, which
     serve until they are replaced, have no such label. */}}
{{- define "torchserve.group" -}}
torchserve/group: {{ .Release.Name }}
{{- end -}}

{{/* Labels of a Job's pods. Call with (list . "test"). Their instance is not the release's: a canary
     controller makes Services that select by app.kubernetes.io/instance alone, which is to find servers. */}}
{{- define "torchserve.jobLabels" -}}
app.kubernetes.io/name: torchserve
app.kubernetes.io/instance: {{ include "torchserve.name" (index . 0) }}-{{ index . 1 }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object. The chart's version is not among them: it would roll every pod. */}}
{{- define "torchserve.labels" -}}
{{- $root := index . 0 -}}
{{ include "torchserve.selectorLabels" . }}
app.kubernetes.io/part-of: torchserve
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- end -}}

{{- define "torchserve.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end -}}

{{/* Account of the servers, and of the Helm test. */}}
{{- define "torchserve.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "torchserve.name" .) -}}
{{- end -}}

{{/* Whether an autoscaler owns the number of pods. */}}
{{- define "torchserve.autoscaled" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if or $scaling.enabled (ne $scaling.kind "none") (kindIs "invalid" .Values.replicas) -}}true{{- end -}}
{{- end -}}

{{/* The pods that a Deployment has in the cluster for as long as no autoscaler has set them: to leave
     the field out would set it to 1, its default, and stop the other pods until the autoscaler looks.
     What it sets comes by the part `scale` of the Deployment. */}}
{{- define "torchserve.replicasBefore" -}}
{{- $deployment := lookup "apps/v1" "Deployment" .Release.Namespace (include "torchserve.name" .) -}}
{{- $replicas := "" -}}
{{- range dig "metadata" "managedFields" list $deployment -}}
{{- if and (not .subresource) (dig "fieldsV1" "f:spec" dict . | dig "f:replicas" false | kindIs "map") -}}
{{- $replicas = $deployment.spec.replicas -}}
{{- end -}}
{{- end -}}
{{- $replicas -}}
{{- end -}}

{{/* How many requests wait or are answered, a mean over a minute, for each slot of the busiest model. A
     slot is a place in a batch of a ready worker. What is answered follows from the seconds that answers
     took (Little's law). The slots are those of now, and no mean: the HPA multiplies by the pods that are
     ready now, and with slots of the last minute a pod that has just got ready would call for another.
     The most of a minute, since a worker that is started again is missing for a moment. Call with a
     group's label selector. */}}
{{- define "torchserve.inFlightPerSlot" -}}
max(
  sum by (model_name, model_version) (
    avg_over_time(launcher_queue_depth{{ . }}[1m])
    + rate(launcher_latency_seconds_sum{{ . }}[1m])
    - rate(launcher_queue_seconds_sum{{ . }}[1m])
  )
  /
  sum by (model_name, model_version) (
    max_over_time(launcher_workers_ready{{ . }}[1m]) * last_over_time(launcher_batch_size{{ . }}[1m])
  )
)
{{- end -}}

{{/* Mean seconds that the requests of the last minute waited for a worker, of the model that waits
     longest: 0 without requests, nothing without metrics. Call with (list SELECTOR MOST). */}}
{{- define "torchserve.queueSeconds" -}}
clamp_max(
  max(
    sum by (model_name, model_version) (rate(launcher_queue_seconds_sum{{ index . 0 }}[1m]))
    /
    clamp_min(sum by (model_name, model_version) (rate(launcher_queue_seconds_count{{ index . 0 }}[1m])), 0.001)
  ),
  {{ index . 1 }}
)
{{- end -}}

{{/* Claim of the volume that the servers read. */}}
{{- define "torchserve.claim" -}}
{{- .Values.persistence.existingClaim | default (printf "%s-model-store" (include "torchserve.name" .)) -}}
{{- end -}}

{{/* What the launcher checks the store against, and what the Job fills it with. */}}
{{- define "torchserve.modelFiles" -}}
{{- .Values.modelStore.files | toPrettyJson -}}
{{- end -}}

{{/* The longest timeout (seconds) of a model: `timeouts.response` or `timeouts.startup`, else what
     `config` contains. Call with (list . "response"). 120 is TorchServe's own default.
     Step one of two, since 2026-11-29: this chart accepts both, and the snapshot does not write
     `timeouts` yet, because an older chart refuses a value that it does not know, and chart and values
     change one after the other. Step two: docs/upgrading.md. Then the regex goes; its backslashes are
     escapes of the properties format. */}}
{{- define "torchserve.timeout" -}}
{{- $longest := index (index . 0).Values.timeouts (index . 1) | int -}}
{{- if not $longest -}}
{{- $config := (index . 0).Values.config | replace "\\" "" -}}
{{- range regexFindAll (printf "\"%sTimeout\"\\s*:\\s*[0-9]+" (index . 1)) $config -1 -}}
{{- $longest = max $longest (regexFind "[0-9]+$" .) -}}
{{- end -}}
{{- end -}}
{{- $longest | default 120 -}}
{{- end -}}

{{/* Seconds that a pod may take from its start until it is ready. */}}
{{- define "torchserve.startup" -}}
{{- add .Values.startupSeconds (include "torchserve.timeout" (list . "startup")) -}}
{{- end -}}

{{/* Seconds that a rollout may stand still. */}}
{{- define "torchserve.progressDeadline" -}}
{{- add 600 .Values.deregisterSeconds .Values.drainSeconds (include "torchserve.timeout" (list . "response")) (include "torchserve.startup" .) -}}
{{- end -}}

{{/* Pods of a canary at least: one, or, where it gets all requests at once, as many as serve. */}}
{{- define "torchserve.leastScaled" -}}
{{- $few := and .Values.canary.enabled (not .Values.canary.analysis.iterations) -}}
{{- ternary 1 .Values.autoscaling.minReplicas $few -}}
{{- end -}}

{{/* The figures of the pods that serve beside a canary, as a label selector; and of the canary's own. */}}
{{- define "torchserve.primaryPods" -}}
{{- printf `{group="%s",pod=~"%s-primary-.*"}` .Release.Name (include "torchserve.name" .) -}}
{{- end -}}

{{- define "torchserve.scaledPods" -}}
{{- if .Values.canary.enabled -}}
{{- printf `{group="%s",pod!~"%s-primary-.*"}` .Release.Name (include "torchserve.name" .) -}}
{{- else -}}
{{- printf `{group="%s"}` .Release.Name -}}
{{- end -}}
{{- end -}}

{{/* The pods of the group's Service. Under a canary: those of the primary, once one is ready, which no
     selector of the Deployment finds; until then, while Flagger makes it, all of the group. */}}
{{- define "torchserve.serving" -}}
{{- $primary := lookup "apps/v1" "Deployment" .Release.Namespace (printf "%s-primary" (include "torchserve.name" .)) -}}
{{- if not .Values.canary.enabled -}}
{{- include "torchserve.selectorLabels" (list . "server") -}}
{{- else if dig "status" "readyReplicas" 0 $primary -}}
app.kubernetes.io/instance: {{ .Release.Name }}-primary
{{ include "torchserve.group" . }}
{{- else -}}
{{- include "torchserve.group" . -}}
{{- end -}}
{{- end -}}

{{/* Pods above `replicas` during a rollout. Two or more pods on GPUs make room for each other: a GPU
     for one more would stand idle between two rollouts. */}}
{{- define "torchserve.surge" -}}
{{- if not (kindIs "invalid" .Values.rollout.maxSurge) -}}
{{- .Values.rollout.maxSurge -}}
{{- else -}}
{{- $several := or (eq (include "torchserve.autoscaled" .) "true") (ne (toString .Values.replicas) "1") -}}
{{- if ne .Values.autoscaling.kind "none" -}}
{{- $several = gt (int .Values.autoscaling.minReplicas) 1 -}}
{{- end -}}
{{- ternary 0 1 (and (gt (int .Values.gpus) 0) $several) -}}
{{- end -}}
{{- end -}}

{{/* Pods that may be missing during a rollout: one, where none may be above. */}}
{{- define "torchserve.unavailable" -}}
{{- if not (kindIs "invalid" .Values.rollout.maxUnavailable) -}}
{{- .Values.rollout.maxUnavailable -}}
{{- else -}}
{{- ternary 1 0 (eq (include "torchserve.surge" .) "0") -}}
{{- end -}}
{{- end -}}

{{- define "torchserve.podSecurityContext" -}}
{{- $context := include "torchserve.restrictedPod" . -}}
{{- with .Values.podSecurityContext -}}
{{- $context = include "torchserve.merged" (list ($context | fromYaml) .) -}}
{{- end -}}
{{- $context -}}
{{- end -}}

{{- define "torchserve.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* A map as YAML, with what another says instead: maps key by key, lists of what has names by
     name, anything else as a whole; null takes a key out. Call with (list MAP OTHER). */}}
{{- define "torchserve.merged" -}}
{{- $merged := index . 0 -}}
{{- range $key, $new := index . 1 -}}
{{- $old := get $merged $key -}}
{{- if kindIs "invalid" $new -}}
{{- $merged = unset $merged $key -}}
{{- else if and (kindIs "map" $new) (kindIs "map" $old) -}}
{{- $merged = set $merged $key (include "torchserve.merged" (list $old $new) | fromYaml) -}}
{{- else if and (kindIs "slice" $new) (kindIs "slice" $old) (hasKey (first $new | default dict) "name") -}}
{{- $merged = set $merged $key (include "torchserve.mergedList" (list $old $new) | fromYamlArray) -}}
{{- else -}}
{{- $merged = set $merged $key $new -}}
{{- end -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* A list as YAML, each of its items with what another list says of that name, then the new names.
     Call with (list LIST OTHER). */}}
{{- define "torchserve.mergedList" -}}
{{- $changes := dict -}}
{{- range index . 1 -}}
{{- $changes = set $changes .name . -}}
{{- end -}}
{{- $merged := list -}}
{{- range index . 0 -}}
{{- $change := get $changes .name | default dict -}}
{{- $merged = append $merged (include "torchserve.merged" (list . $change) | fromYaml) -}}
{{- $changes = unset $changes .name -}}
{{- end -}}
{{- range index . 1 -}}
{{- if hasKey $changes .name -}}
{{- $merged = append $merged . -}}
{{- end -}}
{{- end -}}
{{- toYaml $merged -}}
{{- end -}}

{{/* Containers of the values, each with the server's securityContext unless it has its own. Call
     with (list . CONTAINERS). */}}
{{- define "torchserve.containers" -}}
{{- $context := include "torchserve.securityContext" (index . 0) | fromYaml -}}
{{- range index . 1 }}
- {{ ternary . (merge (dict "securityContext" $context) .) (hasKey . "securityContext") | toYaml | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{/* What both contexts say comes from podSecurityContext: a container's own would hide it. */}}
{{- define "torchserve.securityContext" -}}
{{- $context := include "torchserve.restrictedContainer" . -}}
{{- with pick .Values.podSecurityContext "runAsUser" "runAsGroup" "runAsNonRoot" "seccompProfile" -}}
{{- $context = include "torchserve.merged" (list ($context | fromYaml) .) -}}
{{- end -}}
{{- $context -}}
{{- end -}}

{{- define "torchserve.restrictedContainer" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* The image is large: where a GPU node has it already, helpers may run there too. */}}
{{- define "torchserve.tolerations" -}}
{{- $gpu := list -}}
{{- if .Values.gpus -}}
{{- $taint := ternary "nvidia.com/gpu" .Values.gpuResource (hasPrefix "nvidia.com/" .Values.gpuResource) -}}
{{- $gpu = list (dict "key" $taint "operator" "Exists" "effect" "NoSchedule") -}}
{{- end -}}
{{- concat $gpu .Values.tolerations | toYaml -}}
{{- end -}}

{{/* What may reach a server, and what it may reach. */}}
{{- define "torchserve.serverTraffic" -}}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      {{- with .Values.networkPolicy.inferenceFrom }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      - podSelector:
          matchLabels:
            {{- include "torchserve.jobLabels" (list . "test") | nindent 12 }}
    ports:
      - port: http
      - port: grpc
  {{- with .Values.networkPolicy.metricsFrom }}
  - from:
      {{- toYaml . | nindent 6 }}
    ports:
      - port: launcher
  {{- end }}
# A server calls nobody: models, configuration and metrics all come to it.
{{- with .Values.networkPolicy.egress }}
egress:
  {{- include "torchserve.dnsEgress" $ | nindent 2 }}
  {{- toYaml . | nindent 2 }}
{{- else }}
egress: []
{{- end }}
{{- end -}}

{{- define "torchserve.dnsEgress" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: kube-system
      podSelector:
        matchLabels:
          k8s-app: kube-dns
    # NodeLocal DNSCache, where it is installed: it listens on the node, at its fixed address.
    - ipBlock:
        cidr: 169.254.20.10/32
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end -}}

{{/* Every value that would only fail later, in the cluster, in one message. */}}
{{- define "torchserve.validate" -}}
{{- $values := .Values -}}
{{- $faults := list -}}
{{- if not $values.image.repository -}}
{{- $faults = append $faults "image.repository is empty: name the serving image" -}}
{{- end -}}
{{- if and $values.image.digest $values.image.tag -}}
{{- $faults = append $faults (printf "image has a digest, and the tag %s: which one? Set the other to \"\"" $values.image.tag) -}}
{{- else if not (or $values.image.digest $values.image.tag) -}}
{{- $faults = append $faults "image.digest is empty: give the image's sha256:… (or image.tag, for an image of this machine)" -}}
{{- end -}}
{{- range $key := keys $values.podLabels | sortAlpha -}}
{{- if or (hasPrefix "torchserve/" $key) (has $key (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component")) -}}
{{- $faults = append $faults (printf "podLabels.%s is the chart's own: Service, policies and budget select by it" $key) -}}
{{- end -}}
{{- end -}}
{{- range $key := keys $values.podAnnotations | sortAlpha -}}
{{- if hasPrefix "torchserve/" $key -}}
{{- $faults = append $faults (printf "podAnnotations.%s is the chart's own: the server reads its settings there" $key) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $values.podSpec "serviceAccountName" -}}
{{- $faults = append $faults "podSpec.serviceAccountName is serviceAccount.name: the Helm test needs it too" -}}
{{- end -}}
{{- if not (or $values.serviceAccount.create $values.serviceAccount.name) -}}
{{- $faults = append $faults "serviceAccount.name is empty: name the account that exists, or let the chart create one" -}}
{{- end -}}
{{- if eq (not $values.persistence.existingClaim) (not $values.persistence.create) -}}
{{- $faults = append $faults "set one of persistence.existingClaim and persistence.create, not both" -}}
{{- end -}}
{{- if and $values.modelStore.sync.enabled (not $values.modelStore.sync.source) -}}
{{- $faults = append $faults "modelStore.sync.source is empty: name the bucket, s3://…" -}}
{{- end -}}
{{- if and $values.modelStore.sync.enabled (not (regexMatch "^((s3|gs)://|$)" $values.modelStore.sync.source)) -}}
{{- $faults = append $faults (printf "modelStore.sync.source %s: the Job reads s3:// (AWS, or modelStore.sync.endpoint) and gs://. Azure's blobs have no S3 interface: put an S3 gateway before them, or mount the container (blob.csi.azure.com) as persistence.existingClaim and leave modelStore.sync.enabled false" $values.modelStore.sync.source) -}}
{{- end -}}
{{- $scaling := $values.autoscaling -}}
{{- if and (ne $scaling.kind "none") (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- $faults = append $faults (printf "autoscaling.maxReplicas is %v, below minReplicas, %v: how many pods are there GPUs for?" ($scaling.maxReplicas | default "not set") $scaling.minReplicas) -}}
{{- end -}}
{{- if and (ne $scaling.kind "none") $scaling.enabled -}}
{{- $faults = append $faults (printf "autoscaling.enabled says that something else sets the number of pods, and autoscaling.kind that the chart makes it (%s): which one?" $scaling.kind) -}}
{{- end -}}
{{- if $values.canary.enabled -}}
{{- if eq $scaling.kind "none" -}}
{{- $faults = append $faults "canary.enabled needs autoscaling.kind (keda or hpa): without an autoscaler Flagger starts as many pods of a canary as serve, and leaves nobody to change their number" -}}
{{- end -}}
{{- if and $values.canary.analysis.iterations (not $values.canary.shadow.enabled) -}}
{{- $faults = append $faults "canary.analysis.iterations (blue/green) sends a canary no client's request, so that it has no figures and never goes on: canary.shadow.enabled sends it copies" -}}
{{- end -}}
{{- if and $values.canary.analysis.iterations (lt (int $values.canary.maxReplicas) (int $scaling.minReplicas)) -}}
{{- $faults = append $faults (printf "canary.analysis.iterations (blue/green) sends all requests to the canary before it is promoted: canary.maxReplicas is %v, below autoscaling.minReplicas, %v" $values.canary.maxReplicas $scaling.minReplicas) -}}
{{- end -}}
{{- if not (and $values.canary.hosts $values.canary.match) -}}
{{- $faults = append $faults "canary.hosts or canary.match is empty: the group's HTTPRoute would take every request. Name the host, torchserve.${DOMAIN}; `canary: true` in serving.yaml has `make snapshot` write the matches" -}}
{{- end -}}
{{- end -}}
{{- if and (eq (include "torchserve.surge" .) "0") (eq (include "torchserve.unavailable" .) "0") -}}
{{- $faults = append $faults "rollout.maxSurge is 0 (its default where two or more pods have GPUs) and so is rollout.maxUnavailable: no pod could ever be replaced" -}}
{{- end -}}
{{- $settings := add (len $values.config) (len (include "torchserve.modelFiles" .)) (len $values.metricsConfig) -}}
{{- if gt $settings 261000 -}}
{{- $faults = append $faults (printf "config, modelStore.files and metricsConfig are %d bytes; Kubernetes keeps 256 KiB of annotations for a pod, 261000 bytes are left for them" $settings) -}}
{{- end -}}
{{- if not $values.config -}}
{{- $faults = append $faults "config is empty: --set-file config=apps/torchserve/ENV/torchserve/config.properties" -}}
{{- else -}}
{{- $addresses := dict
    "inference_address" (printf "http://0.0.0.0:%v" $values.inferencePort)
    "management_address" (printf "http://127.0.0.1:%v" $values.managementPort)
    "metrics_address" (printf "http://127.0.0.1:%v" $values.metricsPort)
    "grpc_inference_port" (toString $values.grpcPort)
    "model_store" $values.modelStore.mountPath -}}
{{- if $values.metricsConfig -}}
{{- $_ := set $addresses "metrics_config" "/etc/torchserve/metrics.yaml" -}}
{{- end -}}
{{- range $key, $want := $addresses -}}
{{- $line := printf "(?m)^%s\\s*[=:]\\s*%s\\s*$" $key (regexQuoteMeta $want) -}}
{{- if not (regexMatch $line ($values.config | replace "\\" "")) -}}
{{- $faults = append $faults (printf "config does not say %s=%s, as the values do" $key $want) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $longest := include "torchserve.timeout" (list . "response") -}}
{{- if lt (int $values.drainSeconds) (int $longest) -}}
{{- $faults = append $faults (printf "drainSeconds is %v: the longest responseTimeout is %v" $values.drainSeconds $longest) -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\n  - %s\n" (join "\n  - " $faults)) -}}
{{- end -}}
{{- end -}}
