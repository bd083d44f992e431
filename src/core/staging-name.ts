/** What a download that grows inside its destination is named; as long as something whose name begins so lies in a directory, its files are not whole. */
export const STAGING_NAME = '.kserve-node-download';
