{{/* What the names of all objects begin with. */}}
{{- define "lockstep.name" -}}
{{- .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-lockstep" .Release.Name) (contains "lockstep" .Release.Name)) | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What pods are found by. */}}
{{- define "lockstep.selector" -}}
app.kubernetes.io/name: lockstep
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every object; takes root and component. */}}
{{- define "lockstep.labels" -}}
{{ include "lockstep.selector" .root }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/part-of: lockstep
{{- end -}}

{{/* Name, namespace and labels of an object; takes root and component, and name where it is not the component's. */}}
{{- define "lockstep.metadata" -}}
name: {{ include "lockstep.name" .root }}-{{ .name | default .component }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "lockstep.labels" . | nindent 2 }}
{{- end -}}

{{- define "lockstep.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{/* Settings, as environment variables. Secrets are paths of files here. */}}
{{- define "lockstep.env" -}}
{{- $values := .Values -}}
- name: LOCKSTEP_SOURCE_URL_FILE
  value: /run/secrets/lockstep/source-url
{{- if $values.secret.keys.sourceReadUrl }}
- name: LOCKSTEP_SOURCE_READ_URL_FILE
  value: /run/secrets/lockstep/source-read-url
{{- end }}
- name: LOCKSTEP_AMQP_URL_FILE
  value: /run/secrets/lockstep/amqp-url
- name: LOCKSTEP_CLICKHOUSE_URL
  value: {{ $values.clickhouse.url | quote }}
- name: LOCKSTEP_CLICKHOUSE_USER
  value: {{ $values.clickhouse.user | quote }}
{{- if $values.secret.keys.clickhousePassword }}
- name: LOCKSTEP_CLICKHOUSE_PASSWORD_FILE
  value: /run/secrets/lockstep/clickhouse-password
{{- end }}
- name: LOCKSTEP_CLICKHOUSE_RAW_DATABASE
  value: {{ $values.clickhouse.rawDatabase | quote }}
- name: LOCKSTEP_CLICKHOUSE_VIEW_DATABASE
  value: {{ $values.clickhouse.viewDatabase | quote }}
{{- with $values.clickhouse.cluster }}
- name: LOCKSTEP_CLICKHOUSE_CLUSTER
  value: {{ . | quote }}
{{- end }}
- name: LOCKSTEP_CLICKHOUSE_FSYNC
  value: {{ ternary "on" "off" $values.clickhouse.fsync | quote }}
- name: LOCKSTEP_QUEUE_PREFIX
  value: {{ $values.queuePrefix | quote }}
- name: LOCKSTEP_MAX_VALUE_BYTES
  value: {{ $values.maxValueBytes | int64 | quote }}
- name: LOCKSTEP_LOG
  value: {{ $values.log.filter | quote }}
- name: LOCKSTEP_LOG_FORMAT
  value: {{ $values.log.format | quote }}
- name: LOCKSTEP_BUILT_IN_MAPPINGS
  value: {{ $values.mappings.builtIn | quote }}
{{- if $values.mappings.configMap }}
- name: LOCKSTEP_MAPPINGS_DIR
  value: /etc/lockstep/mappings
{{- end }}
{{- if $values.certificateAuthority.configMap }}
- name: LOCKSTEP_TLS_CA_FILE
  value: /etc/lockstep/authorities/ca.crt
{{- end }}
{{- if $values.tenants.enabled }}
- name: LOCKSTEP_SECRET_KEY_FILE
  value: /run/secrets/lockstep/destination-keys
- name: LOCKSTEP_DESTINATION_TLS
  value: {{ $values.tenants.tls | quote }}
{{- with $values.tenants.allow }}
- name: LOCKSTEP_DESTINATION_ALLOW
  value: {{ join "," . | quote }}
{{- end }}
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lockstep.mounts" -}}
- name: secrets
  mountPath: /run/secrets/lockstep
  readOnly: true
{{- if .Values.mappings.configMap }}
- name: mappings
  mountPath: /etc/lockstep/mappings
  readOnly: true
{{- end }}
{{- if .Values.certificateAuthority.configMap }}
- name: authorities
  mountPath: /etc/lockstep/authorities
  readOnly: true
{{- end }}
{{- end -}}

{{- define "lockstep.volumes" -}}
{{- $keys := .Values.secret.keys -}}
- name: secrets
  secret:
    secretName: {{ .Values.secret.name }}
    # Owner root, group of the pod: what the programs ask of a key file.
    defaultMode: 0440
    items:
      - { key: {{ $keys.sourceUrl }}, path: source-url }
      {{- if $keys.sourceReadUrl }}
      - { key: {{ $keys.sourceReadUrl }}, path: source-read-url }
      {{- end }}
      - { key: {{ $keys.amqpUrl }}, path: amqp-url }
      {{- if $keys.clickhousePassword }}
      - { key: {{ $keys.clickhousePassword }}, path: clickhouse-password }
      {{- end }}
      {{- if .Values.tenants.enabled }}
      - { key: {{ .Values.tenants.secretKey }}, path: destination-keys }
      {{- end }}
{{- with .Values.mappings.configMap }}
- name: mappings
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.certificateAuthority }}
{{- if .configMap }}
- name: authorities
  configMap:
    name: {{ .configMap }}
    items:
      - { key: {{ .key }}, path: ca.crt }
{{- end }}
{{- end }}
{{- end -}}

{{/* Where events are told, for the sequencer. */}}
{{- define "lockstep.events" -}}
{{- with .Values.events }}
{{- if .to }}
- name: LOCKSTEP_EVENTS_TO
  value: {{ .to | quote }}
{{- end }}
{{- if .webhooks }}
- name: LOCKSTEP_EVENTS_WEBHOOKS
  {{- $list := list }}
  {{- range .webhooks }}{{ $list = append $list (printf "%s=%s" .name .url) }}{{ end }}
  value: {{ join "," $list | quote }}
- name: LOCKSTEP_EVENTS_SECRET_FILE
  value: /run/secrets/lockstep-events/webhook-secrets
- name: LOCKSTEP_EVENTS_PLAIN_HTTP
  value: {{ ternary "on" "off" .plainHttp | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
A pod, from its labels to its volumes. Takes root, component, command, resources; daemon (serves health and metrics, goes on for
ever) or else restartPolicy Never.
*/}}
{{- define "lockstep.pod" -}}
{{- $root := .root -}}
{{- $pod := $root.Values.pod -}}
metadata:
  labels:
    {{- include "lockstep.labels" . | nindent 4 }}
    {{- with $pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $pod.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with $pod.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if .daemon }}
  # Longer than a daemon takes to finish what it has begun.
  terminationGracePeriodSeconds: 45
  {{- else }}
  restartPolicy: Never
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    seccompProfile: { type: RuntimeDefault }
  containers:
    - name: {{ .component }}
      image: {{ include "lockstep.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      command: {{ toJson .command }}
      env:
        {{- include "lockstep.env" $root | nindent 8 }}
        {{- if eq .component "sequencer" }}
        {{- with include "lockstep.events" $root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- end }}
        {{- if .daemon }}
        - name: LOCKSTEP_LISTEN
          value: "0.0.0.0:9464"
      ports:
        - { name: metrics, containerPort: 9464, protocol: TCP }
      # Alive is who answers; ready is who reaches the services, as a stand-by does too.
      startupProbe:
        httpGet: { path: /livez, port: metrics }
        periodSeconds: 2
        failureThreshold: 30
      livenessProbe:
        httpGet: { path: /livez, port: metrics }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: metrics }
        periodSeconds: 10
        timeoutSeconds: 5
        {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: { drop: [ALL] }
      volumeMounts:
        {{- include "lockstep.mounts" $root | nindent 8 }}
        {{- if and (eq .component "sequencer") $root.Values.events.webhooks }}
        - name: webhook-secrets
          mountPath: /run/secrets/lockstep-events
          readOnly: true
        {{- end }}
  {{- if .daemon }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "lockstep.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
    {{- end }}
  {{- end }}
  {{- with $pod.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $pod.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  volumes:
    {{- include "lockstep.volumes" $root | nindent 4 }}
    {{- if and (eq .component "sequencer") $root.Values.events.webhooks }}
    # In no other pod.
    - name: webhook-secrets
      secret:
        secretName: {{ $root.Values.secret.name }}
        defaultMode: 0440
        items:
          - { key: {{ $root.Values.events.secretKey }}, path: webhook-secrets }
    {{- end }}
{{- end -}}
