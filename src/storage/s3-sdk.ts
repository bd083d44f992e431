// What is used of the S3 client, and nothing else: a complete build bundles these into one file with what V8 compiled of it (scripts/bundle.mjs).
export { HeadObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
