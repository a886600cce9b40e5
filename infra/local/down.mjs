await import('tsx');
await import('./down.ts');
