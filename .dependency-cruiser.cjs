// Imports go one way (design: main → app → http → interaction → {bundle, search, validation, access} → {policy, store port, audit} → fhir).
const only = (name, from, to, comment) => ({ name, comment, severity: 'error', from: { path: from }, to });
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, viaOnly: { pathNot: '^server/interaction/(batch|transaction|dispatch)' }, dependencyTypesNot: ['type-only'] } },
    only('store-behind-access', '^server/(interaction|http|bundle|validation|terminology|app)', { path: '^server/store/', dependencyTypesNot: ['type-only'], pathNot: '^server/store/(port|plan)\\.ts$' }, 'Only access/ holds the store.'),
    only('drivers-in-their-folder', '^server/(?!store/(sqlite|mongo)/|start\\.ts)', { path: '^server/store/(sqlite|mongo)/' }),
    only('mongodb-in-its-folder', '^server/(?!store/mongo/)', { path: 'node_modules/mongodb' }),
    only('sqlite-in-its-folder', '^server/(?!store/sqlite/)', { path: 'node_modules/@photostructure' }),
    only('express-at-the-edge', '^server/(?!app\\.ts|http/)', { path: 'node_modules/express' }),
    only('policy-is-pure', '^server/policy/', { path: '^server/(access|interaction|http|auth|audit|validation|terminology|store/(sqlite|mongo))', dependencyTypesNot: ['type-only'] }),
    only('policy-touches-no-world', '^server/policy/', { dependencyTypes: ['core'] }),
    only('fhir-stands-alone', '^server/fhir/', { path: '^server/(?!fhir/)' }),
    only('access-below-interaction', '^server/(access|search|policy|audit|store|bundle)/', { path: '^server/(interaction|http|app|start|main)' }),
    only('server-without-seed', '^server/(?!main\\.ts)', { path: '^seed/' }),
  ],
  options: { tsPreCompilationDeps: true, tsConfig: { fileName: 'tsconfig.json' }, doNotFollow: { path: 'node_modules' }, enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] } },
};
