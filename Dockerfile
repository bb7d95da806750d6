FROM node:20-bookworm-slim
WORKDIR /srv
COPY . .
RUN npm ci
ENV HOST=0.0.0.0
EXPOSE 8080
CMD ["npm", "start"]
