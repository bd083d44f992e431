import type { DocumentedRoute } from '../http/index.ts';
import type { V2Dependencies } from './dependencies.ts';
import { healthRoutes } from './health-routes.ts';
import { inferRoutes } from './infer-routes.ts';
import { modelRoutes } from './model-routes.ts';
import { repositoryRoutes } from './repository-routes.ts';
import { statisticsRoutes } from './statistics-routes.ts';

/**
 * Open Inference Protocol v2 over HTTP with KServe's additions (`/`, `/v2/models`) and Triton's model repository and statistics extensions. The routes with the most traffic
 * come first, because adapters try them in order.
 */
export function createV2Routes(deps: V2Dependencies): DocumentedRoute[] {
  return [...inferRoutes(deps), ...healthRoutes(deps), ...statisticsRoutes(deps), ...modelRoutes(deps), ...repositoryRoutes(deps)];
}
