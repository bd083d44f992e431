export { createOpenApiRoute, describeRoutes, type OpenApiOptions } from './document.ts';
