import { defineHandler } from '../../../dist/index.js';
import { handler } from './misbehaving.mjs';

export default defineHandler({ ...handler, isIdempotent: false });
