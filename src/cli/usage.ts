const USAGE: Readonly<Record<string, string>> = {
  serve: 'kserve-node serve --model_dir=DIR|URI [--OPTION=VALUE …]',
  inspect: 'kserve-node inspect DIR [--json]',
  types: 'kserve-node types DIR [--out FILE]',
  init: 'kserve-node init NAME [--template predictor|transformer|explainer|image]',
  pack: 'kserve-node pack HANDLER [--out FILE]',
  download: 'kserve-node download SRC DEST [SRC DEST …]',
  bench: 'kserve-node bench --url=URL|--model_dir=DIR [--OPTION=VALUE …]',
  manifest: 'kserve-node manifest DIR|URI [--OPTION=VALUE …]',
  rollout: 'kserve-node rollout run|status|pause|resume|abort|job NAME [--OPTION=VALUE …]',
  version: 'kserve-node version',
  help: 'kserve-node help [COMMAND]',
};

const SERVE_NOTES = `Flags take - or _ in their names, --name=value or --name value. Each option is also the variable KSERVE_NODE_<NAME>
and a key of the config file; a flag wins over a variable, a variable over the file.
`;

const BENCH_NOTES = `The result is a table on stdout. Ctrl-C ends the load and gives the result so far. The exit code is 0, 1 when too many answers failed or nothing
could be measured, 2 for wrong options, 130 after Ctrl-C. Flags take - or _ in their names, --name=value or --name value.
`;

const ROLLOUT_NOTES = `job prints a Job, or a CronJob, that runs it in the cluster. run begins a rollout, or goes on with one whose runner was killed. The exit code is 0 when the canary was promoted or there is nothing to do, 1 when the
rollout stopped (traffic stays at the last judged step) or could not run, 2 for wrong options, 3 when it was rolled back, 4 when another runner holds
the lease, 130 after Ctrl-C. Each option is also the variable KSERVE_NODE_<NAME>. Flags take - or _ in their names, --name=value or --name value.
`;

const MANIFEST_NOTES = `What would be admitted by the API server and fail or mean something else later is refused here, with exit code 2. Flags take - or _ in their names,
--name=value or --name value.
`;

const DOWNLOAD_NOTES = `SRC is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX, hf://OWNER/MODEL[:REVISION],
https://HOST/FILE, file:///PATH, a path, or pvc://CLAIM/PATH as mounted. Everything arrives in DEST, or nothing does.

Options:
  --expect_sha256=HEX   digest of the one file, or of SHA256SUMS where there are several; SRC?sha256=HEX is the same
  --public_key=FILE     PEM public key: the one file, or SHA256SUMS, must be signed (cosign sign-blob)
  --signature=FILE      the signature; SHA256SUMS.sig of the download without it
  --model_cache=DIR     keep what is fetched there, for all who are given the same directory; DEST gets copies of it
  --model_cache_bytes=SIZE  most bytes of it: what was not used for longest goes, such as 20GiB (default: the room of its volume)
  --fsync=BOOL          false: do not wait for the disk; a crash of the machine may then undo a download (default true)

Variables are those of KServe's storage initializer: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, AWS_DEFAULT_REGION,
awsAnonymousCredential, S3_USER_VIRTUAL_BUCKET, S3_USE_ACCELERATE, S3_VERIFY_SSL, AWS_CA_BUNDLE, CA_BUNDLE_CONFIGMAP_NAME,
CA_BUNDLE_VOLUME_MOUNT_POINT, STORAGE_CONFIG, STORAGE_OVERRIDE_CONFIG, STORAGE_ALLOW_PATTERNS, STORAGE_IGNORE_PATTERNS, S3_CONNECT_TIMEOUT,
S3_READ_TIMEOUT, S3_MAX_ATTEMPTS, S3_MAX_FILE_CONCURRENCY; and those of AWS for roles and profiles.
`;

/** Help on all commands, or on one of them; the options come from their declarations. */
export async function renderUsage(topic: string | undefined, verbs: Readonly<Record<string, { readonly summary: string }>>): Promise<string> {
  if (topic === undefined) return renderOverview(verbs);
  const head = `Usage: ${USAGE[topic] ?? `kserve-node ${topic}`}\n\n${verbs[topic]?.summary ?? ''}\n`;
  if (topic === 'download') return `${head}\n${DOWNLOAD_NOTES}`;
  if (!['serve', 'bench', 'rollout', 'manifest'].includes(topic)) return head;
  const { renderHelp } = await import('../options/index.ts');
  if (topic === 'bench') {
    const { BENCH_SECTIONS } = await import('../bench/index.ts');
    return `${head}\n${BENCH_NOTES}\n${renderHelp(BENCH_SECTIONS, { hasConfigFile: false })}`;
  }
  if (topic === 'manifest') {
    const { MANIFEST_SECTIONS } = await import('../manifest/index.ts');
    return `${head}\n${MANIFEST_NOTES}\n${renderHelp(MANIFEST_SECTIONS, { hasConfigFile: false })}`;
  }
  if (topic === 'rollout') {
    const { ROLLOUT_SECTIONS } = await import('../rollout/index.ts');
    return `${head}\n${ROLLOUT_NOTES}\n${renderHelp(ROLLOUT_SECTIONS)}`;
  }
  const { SECTIONS } = await import('../settings.ts');
  return `${head}\n${SERVE_NOTES}\n${renderHelp(SECTIONS)}`;
}

function renderOverview(verbs: Readonly<Record<string, { readonly summary: string }>>): string {
  const lines = Object.entries(verbs).map(([name, { summary }]) => `  ${(USAGE[name] ?? name).padEnd(56)}${summary}\n`);
  return `Serves machine learning models over the Open Inference Protocol.\n\nCommands:\n${lines.join('')}\n"kserve-node help serve" lists all options.\n`;
}
