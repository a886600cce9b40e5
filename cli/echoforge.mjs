#!/usr/bin/env node
// The sources run without a build step: tsx reads TypeScript.
import 'tsx';
await import('./main.ts');
