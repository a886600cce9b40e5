await import('tsx');
await import('./env.ts');
