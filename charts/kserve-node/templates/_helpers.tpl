{{- define "kserve-node.name" -}}
{{- .Values.nameOverride | default .Values.model.name -}}
{{- end -}}

{{- define "kserve-node.labels" -}}
app.kubernetes.io/name: kserve-node
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "kserve-node.serviceAccount" -}}
{{- if .Values.storage.serviceAccount -}}
{{- .Values.storage.serviceAccount -}}
{{- else if .Values.storage.create -}}
{{- include "kserve-node.name" . -}}
{{- end -}}
{{- end -}}

{{/* The runtime that fits mode, protocol and GPU. */}}
{{- define "kserve-node.runtime" -}}
{{- if .Values.runtime -}}
{{- .Values.runtime -}}
{{- else -}}
{{- $gpu := gt (int .Values.gpu.count) 0 -}}
{{- if eq .Values.mode "standard" -}}
{{- ternary "kserve-node-gpu-standard" "kserve-node-standard" $gpu -}}
{{- else if $gpu -}}
kserve-node-gpu
{{- else -}}
{{- ternary "kserve-node-grpc" "kserve-node" (eq .Values.model.protocolVersion "grpc-v2") -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "kserve-node.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if gt (int .Values.gpu.count) 0 -}}
{{- $resources = mergeOverwrite $resources (dict "limits" (dict .Values.gpu.resource (toString .Values.gpu.count))) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* Everything that the schema cannot say; each problem is one line. */}}
{{- define "kserve-node.check" -}}
{{- if gt (int .Values.replicas.min) (int .Values.replicas.max) -}}
{{- fail (printf "replicas: expected min (%d) to be at most max (%d)" (int .Values.replicas.min) (int .Values.replicas.max)) -}}
{{- end -}}
{{- if and .Values.canary.enabled (ne .Values.mode "deployment") -}}
{{- fail (printf "canary.enabled is for mode deployment, got mode %s: use canaryTrafficPercent (knative), or kserve-node rollout (standard)" .Values.mode) -}}
{{- end -}}
{{- if and .Values.canary.enabled (not .Values.canary.imageTag) (not .Values.canary.modelUri) -}}
{{- fail "canary.enabled needs canary.imageTag or canary.modelUri: without one both releases are the same" -}}
{{- end -}}
{{- if and .Values.canary.enabled (eq .Values.route.kind "none") -}}
{{- fail "canary.enabled needs route.kind httproute or virtualservice: without one nothing splits the requests" -}}
{{- end -}}
{{- if ne (toString .Values.canaryTrafficPercent) "" -}}
{{- if ne .Values.mode "knative" -}}
{{- fail (printf "canaryTrafficPercent is for mode knative, got mode %s" .Values.mode) -}}
{{- end -}}
{{- if .Release.IsInstall -}}
{{- fail "canaryTrafficPercent needs a stable revision: install without it first, then upgrade" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.storage.create (not .Values.storage.s3.existingSecret) (not .Values.storage.annotations) -}}
{{- fail "storage.create needs storage.s3.existingSecret (keys) or storage.annotations (a role): the account could read nothing" -}}
{{- end -}}
{{- if and (eq .Values.mode "deployment") .Values.runtime -}}
{{- fail "runtime is KServe's: with mode deployment say image, imageTag and args" -}}
{{- end -}}
{{- if and (ne .Values.mode "deployment") (ne .Values.route.kind "none") -}}
{{- fail (printf "route is for mode deployment, got mode %s: KServe makes its own routes" .Values.mode) -}}
{{- end -}}
{{- end -}}

{{/* A Deployment. Takes root, name, imageTag, uri, replicas. */}}
{{- define "kserve-node.deployment" -}}
{{- $root := .root -}}
{{- with .root.Values -}}
{{- $isClaim := hasPrefix "pvc://" $.uri -}}
{{- $claim := $.uri | trimPrefix "pvc://" | splitn "/" 2 -}}
{{- $isLocal := hasPrefix "/" $.uri -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $.name }}
  labels:
    {{- include "kserve-node.labels" $root | nindent 4 }}
spec:
  {{- if $.replicas }}
  replicas: {{ $.replicas }}
  {{- end }}
  strategy:
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  selector:
    matchLabels: { app: {{ $.name }} }
  template:
    metadata:
      labels:
        app: {{ $.name }}
        model: {{ .model.name }}
        app.kubernetes.io/name: kserve-node
        app.kubernetes.io/instance: {{ $root.Release.Name }}
      {{- with .annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      {{- with include "kserve-node.serviceAccount" $root }}
      serviceAccountName: {{ . }}
      {{- end }}
      {{- if not .storage.annotations }}
      automountServiceAccountToken: false
      {{- end }}
      {{- with .image.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        seccompProfile: { type: RuntimeDefault }
      terminationGracePeriodSeconds: {{ add .timeoutSeconds 15 }}
      containers:
        - name: kserve-container
          image: {{ .image.repository }}{{ if and .image.digest (eq $.imageTag .imageTag) }}@{{ .image.digest }}{{ else }}:{{ $.imageTag }}{{ end }}
          imagePullPolicy: {{ .image.pullPolicy }}
          args:
            - serve
            - --model_name={{ .model.name }}
            - --model_dir={{ if $isClaim }}/mnt/models{{ else }}{{ $.uri }}{{ end }}
            - --request_timeout_seconds={{ .timeoutSeconds }}
            - --grace_period_seconds={{ add .timeoutSeconds 15 }}
            {{- if gt (int .gpu.count) 0 }}
            - --provider=cuda
            {{- end }}
            {{- range .args }}
            - {{ . | quote }}
            {{- end }}
          ports:
            - { name: http1, containerPort: 8080 }
            - { name: h2c, containerPort: 8081 }
          env:
            {{- with .storage.s3.endpoint }}
            - { name: AWS_ENDPOINT_URL, value: {{ printf "%s://%s" (ternary "https" "http" $root.Values.storage.s3.useHttps) . | quote }} }
            {{- end }}
            - { name: AWS_DEFAULT_REGION, value: {{ .storage.s3.region | quote }} }
            {{- with .env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          {{- with .storage.s3.existingSecret }}
          envFrom:
            - secretRef: { name: {{ . }} }
          {{- end }}
          # The ports open when the model is there and loaded.
          startupProbe:
            httpGet: { path: /v2/health/live, port: http1 }
            periodSeconds: 1
            failureThreshold: 600
          readinessProbe:
            httpGet: { path: /v2/health/ready, port: http1 }
            periodSeconds: 2
            failureThreshold: 2
          livenessProbe:
            httpGet: { path: /v2/health/live, port: http1 }
            periodSeconds: 10
            timeoutSeconds: 5
          resources:
            {{- include "kserve-node.resources" $root | nindent 12 }}
          terminationMessagePolicy: FallbackToLogsOnError
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
          volumeMounts:
            - { name: tmp, mountPath: /tmp } # downloads go there
            {{- if $isClaim }}
            - { name: model, mountPath: /mnt/models, readOnly: true{{ with $claim._1 }}, subPath: {{ . }}{{ end }} }
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- if $isClaim }}
        - name: model
          persistentVolumeClaim: { claimName: {{ $claim._0 }}, readOnly: true }
        {{- end }}
      {{- with .nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $.name }}
  labels:
    {{- include "kserve-node.labels" $root | nindent 4 }}
    app: {{ $.name }}
spec:
  selector: { app: {{ $.name }} }
  ports:
    - { name: http1, port: 80, targetPort: http1, appProtocol: http }
    - { name: h2c, port: 8081, targetPort: h2c, appProtocol: kubernetes.io/h2c }
{{- end -}}
{{- end -}}
