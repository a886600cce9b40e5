await import('tsx');
await import('./logs.ts');
