import tseslint from 'typescript-eslint';
import importX, { createNodeResolver } from 'eslint-plugin-import-x';

/** The lib rooms, leaves first: a room may import rooms to its left only (docs/architecture.md). */
const rooms = [
  'stats',
  'storage',
  'image',
  'engine',
  'phantom',
  'dataset',
  'classifier',
  'metrics',
  'generator',
  'synthesis',
  'report',
];
const outside = [
  '@temporalio/*',
  '**/activities/**',
  '**/workflows/**',
  '**/workers/**',
  '**/cli/**',
  '**/infra/**',
  '**/bench/**',
  '**/test/**',
];
const restrict = (files, patterns, allowTypes = false) => ({
  files,
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      { patterns: [{ group: patterns, allowTypeImports: allowTypes }] },
    ],
  },
});

export default tseslint.config(
  { ignores: ['node_modules', 'dist', '.echoforge', '**/*.mjs', '**/*.js'] },
  ...tseslint.configs.strictTypeChecked,
  {
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    settings: {
      'import-x/resolver-next': [createNodeResolver({ extensions: ['.ts', '.js', '.mjs'] })],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts'] },
    },
    rules: {
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      // tfjs returns T from the asserted type; spelling it out twice reads worse.
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
    },
  },
  restrict(
    ['contract/**'],
    [...outside.filter((p) => p !== '@temporalio/*'), '**/lib/**', 'node:*', '@temporalio/*', 'minio', '@tensorflow/*'],
  ),
  restrict(
    ['workflows/**'],
    [
      '**/activities/**',
      '**/lib/**',
      '**/workers/**',
      '**/cli/**',
      'node:*',
      '@tensorflow/*',
      'minio',
      '@temporalio/client',
      '@temporalio/worker',
      '@temporalio/activity',
    ],
  ),
  ...rooms.map((room, i) =>
    restrict(
      [`lib/${room}/**`],
      [
        ...outside,
        ...rooms.slice(i + 1).map((other) => `**/${other}/**`),
        ...(i < rooms.indexOf('engine') ? ['@tensorflow/*'] : []),
      ],
    ),
  ),
  restrict(
    ['lib/*.ts', 'lib/tensorboard/**', 'lib/png-metadata/**'],
    [...outside, ...rooms.map((r) => `**/${r}/**`), '@tensorflow/*'],
  ),
  restrict(['bench/**'], ['**/test/**', '**/workflows/**', '**/activities/**', '@temporalio/*']),
  restrict(['activities/**'], ['**/workflows/**', '**/workers/**', '**/cli/**', '@tensorflow/*']),
  {
    files: ['lib/**'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Math', property: 'random', message: 'Randomness is an argument: lib/random.ts' },
      ],
    },
  },
  {
    files: ['test/**', 'bench/**'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off', '@typescript-eslint/no-unnecessary-condition': 'off' },
  },
);
